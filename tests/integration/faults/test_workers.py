"""Workers that are killed, frozen, stuck, cut off and told to go.

Rows 1 to 5, 15, 17, 21 and 23.
"""

import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from os import kill

from hack.proxy import Proxy
from support.faults.scene import LEASE_SECONDS, PATIENT, Scene, clip, windows
from support.servers import wait_for
from support.workers import Worker, children_running, freeze, signal_tree
from whisperfleet.client import Redriven
from whisperfleet.contract.codes import Code
from whisperfleet.contract.job import Job
from whisperfleet.contract.states import State

IDS = ("call-1", "call-2", "call-3")
LEASE_PROCESS = "whisperfleet.worker.lease_process"


def fenced(worker: Worker) -> float:
    return worker.counted('whisperfleet_finishes_total{answer="fenced"}')


def test_row_01_sigkill_mid_job(own_stage: Scene) -> None:
    # Long enough that a busy machine cannot add another lease to it.
    lease_seconds = 4.0
    options = ("--lease-seconds", str(lease_seconds))
    with own_stage.worker(*options) as first, own_stage.standby(*options) as second:
        for job_id in IDS:
            own_stage.gated(job_id)
        own_stage.wait_until_begun(IDS)
        before = {job_id: own_stage.status(job_id) for job_id in IDS}
        second.process.send_signal(signal.SIGCONT)
        first.kill()
        signs = {job_id: own_stage.last_sign(job_id) for job_id in IDS}
        own_stage.wait_until_begun(IDS, epoch=2)
        for job_id in IDS:
            after = own_stage.status(job_id)
            idle = after.claimed_at.timestamp() - signs[job_id]
            assert idle >= lease_seconds, "it was taken from one whose lease had not lapsed"
            assert idle < 2 * lease_seconds, "the first look after the lease did not take it"
            assert after.deliveries == 2
            assert after.worker != before[job_id].worker
        own_stage.open_gate()
        own_stage.assert_done(IDS)
    own_stage.assert_invariants(accepted=3)


def sigstop_longer_than_the_lease(scene: Scene, stop: Callable[[int], None]) -> None:
    with scene.worker() as first:
        for job_id in IDS:
            scene.gated(job_id)
        scene.wait_until_begun(IDS)
        with scene.worker() as second:
            stop(first.process.pid)
            scene.wait_until_begun(IDS, epoch=2)
            scene.open_gate()
            scene.assert_done(IDS)
            signal_tree(first.process.pid, signal.SIGCONT)
            wait_for(lambda: fenced(first) == 3, "the first worker's results are fenced")
            assert fenced(second) == 0
    scene.assert_invariants(accepted=3)


def test_row_02_sigstop_of_the_main_process_longer_than_the_lease(own_stage: Scene) -> None:
    sigstop_longer_than_the_lease(own_stage, lambda pid: kill(pid, signal.SIGSTOP))


def test_row_02_sigstop_of_all_processes_longer_than_the_lease(stage: Scene) -> None:
    sigstop_longer_than_the_lease(stage, lambda pid: signal_tree(pid, signal.SIGSTOP))


def test_row_02_cut_off_longer_than_the_lease(stage: Scene) -> None:
    with (
        Proxy(stage.server.port) as line,
        stage.worker(through=line) as first,
    ):
        stage.gated("call-1")
        stage.wait_until_begun(["call-1"])
        with stage.worker():
            line.cut()
            stage.wait_until_begun(["call-1"], epoch=2)
            line.point_at(stage.server.port)
            wait_for(
                lambda: any(entry.get("reason") == "fenced" for entry in list(first.log)),
                "the first worker's renewal is fenced",
            )
            stage.open_gate()
            stage.assert_done(["call-1"])
        wait_for(lambda: fenced(first) == 1, "the first worker gives its attempt up")
    stage.assert_invariants(accepted=1)


def test_row_03_a_job_of_ten_leases(stage: Scene) -> None:
    lease_seconds = 1.2
    options = ("--lease-seconds", str(lease_seconds), "--beat-seconds", "0.25")
    with stage.worker("--no-vad", *options):
        job = stage.client.submit(Job(audio=windows(16), prompt="sleep 0.75"))
        with stage.worker(*options):
            result = stage.results([job])[job]
            assert result.state is State.DONE
            assert result.timing.engine >= 10 * lease_seconds
            assert result.epoch == 1, stage.status(job).history
            assert stage.status(job).deliveries == 1
    assert stage.total("reclaimed") == 0
    stage.assert_invariants(accepted=1)


def test_row_04_the_interpreter_lock_held_longer_than_the_lease(stage: Scene) -> None:
    with stage.worker():
        job = stage.client.submit(Job(audio=clip(), prompt=f"hold {1.75 * LEASE_SECONDS}"))
        with stage.worker():
            stage.assert_done([job])
        assert (stage.status(job).epoch, stage.status(job).deliveries) == (1, 1)
    stage.assert_invariants(accepted=1)


def test_row_04_the_interpreter_lock_held_longer_than_stall_seconds(stage: Scene) -> None:
    with stage.worker("--stall-seconds", "0.5") as stuck, stage.standby() as second:
        job = Job(id="call-1", audio=clip(), prompt=f"hold {3 * LEASE_SECONDS}")
        stage.client.submit(job)
        stage.wait_until_begun(["call-1"])
        second.process.send_signal(signal.SIGCONT)
        stage.wait_until_begun(["call-1"], epoch=2)
        wait_for(lambda: fenced(stuck) == 1, "the stuck worker's result is fenced")
        stage.assert_done(["call-1"])
        assert stuck.said("no progress")
    stage.assert_invariants(accepted=1)


def test_a_worker_whose_leases_are_not_renewed_claims_nothing(stage: Scene) -> None:
    with stage.worker() as worker:
        (lease_process,) = children_running(worker.process.pid, LEASE_PROCESS)
        freeze(lease_process)
        wait_for(lambda: worker.said("the worker claims no more"), "the worker stops claiming")
        assert worker.get("/livez")[0] == 200, "a restart would lose what it has"
        status, told = worker.get("/readyz")
        assert (status, told.partition(" ")[0]) == (503, "leases")
        stage.open_gate()
        stage.gated("call-1")
        stage.outlast_lease(["call-1"])
        assert stage.client.status("call-1") is None, "it was claimed"
        kill(lease_process, signal.SIGKILL)
        stage.assert_done(["call-1"])
        wait_for(lambda: worker.get("/readyz")[0] == 200, "it is ready again")
    assert stage.status("call-1").epoch == 1
    stage.assert_invariants(accepted=1)


def test_row_05_sigterm_with_short_notice(stage: Scene) -> None:
    slow = Job(audio=windows(8), prompt="sleep 0.2")
    options = (*PATIENT, "--no-vad", "--drain-seconds", "0.5", "--max-in-flight", "2")
    with stage.worker(*options) as first, stage.standby(*options) as second:
        ids = [stage.client.submit(slow) for _ in range(2)]
        stage.wait_until_begun(ids)
        wait_for(lambda: first.counted("whisperfleet_windows_total") >= 2, "both are under way")
        second.process.send_signal(signal.SIGCONT)
        seconds, microseconds = stage.raw.time()
        first.process.send_signal(signal.SIGTERM)
        stage.wait_until_begun(ids, epoch=2)
        for job_id in ids:
            status = stage.status(job_id)
            waited = status.claimed_at.timestamp() - (seconds + microseconds / 1e6)
            assert waited < 1.0
            assert (status.deliveries, status.releases) == (1, 1)
        results = stage.results(ids)
        assert first.wait() == 0
    assert {result.state for result in results.values()} == {State.DONE}
    stage.assert_invariants(accepted=2)


def kill_decoders(worker: Worker) -> None:
    for child in children_running(worker.process.pid, "whisperfleet.audio.decoder_process"):
        with suppress(ProcessLookupError):
            kill(child, signal.SIGSEGV)


def test_row_15_decoder_segfault(stage: Scene) -> None:
    options = ("--no-vad", "--max-retries", "3", "--max-in-flight", "1")
    with stage.worker(*options) as worker:
        job = stage.client.submit(Job(audio=windows(16), prompt="sleep 0.2"))
        stage.wait_until_begun([job])
        wait_for(lambda: worker.counted("whisperfleet_windows_total") >= 1, "half-way decoded")
        kill_decoders(worker)
        wait_for(lambda: stage.status(job).retries == 1, "the job is tried again")
        result = stage.results([job])[job]
        assert result.state is State.DONE
        assert result.transcript.duration == 16 * 30
        status = stage.status(job)
        assert (status.epoch, status.deliveries, status.retries) == (2, 1, 1)
        assert worker.process.poll() is None
    stage.assert_invariants(accepted=1)


def test_rows_15_and_17_a_file_that_kills_every_decoder_is_dead_and_redriven_once(
    stage: Scene,
) -> None:
    with stage.worker("--no-vad", "--max-retries", "1") as worker:
        ended = threading.Event()

        def killer() -> None:
            while not ended.wait(0.01):
                kill_decoders(worker)

        deadly = threading.Thread(target=killer)
        deadly.start()
        try:
            # Half of it waits in the decoder for the engine: there is always something to kill.
            job = Job(id="call-1", audio=windows(12), prompt="sleep 0.15")
            stage.client.submit(job)
            result = stage.results(["call-1"])["call-1"]
        finally:
            ended.set()
            deadly.join()
        assert result.state is State.DEAD
        assert result.error.code is Code.RETRIES_EXHAUSTED
        assert "SIGSEGV" in result.error.message
        given_up = 'whisperfleet_jobs_total{code="retries_exhausted",state="dead"}'
        wait_for(lambda: worker.counted(given_up) == 1, "the worker counts it among the dead")

        ((letter_id, letter),) = stage.admin.dead_letters()
        assert (letter.id, letter.retries, letter.deliveries) == ("call-1", 1, 1)
        assert stage.admin.redrive(letter_id) is Redriven.REDRIVEN
        assert stage.admin.redrive(letter_id) is Redriven.UNKNOWN
        # The old result is gone the moment that the job waits again.
        assert stage.results(["call-1"])["call-1"].state is State.DONE
    stage.assert_invariants(accepted=1, redriven=1)


def test_row_21_an_entry_deleted_while_its_worker_lives(stage: Scene) -> None:
    with stage.worker(), stage.worker():
        stage.gated("call-1")
        stage.wait_until_begun(["call-1"])
        stage.raw.xtrim(stage.keys.stream("normal"), maxlen=0, approximate=False)
        stage.outlast_lease(["call-1"])
        stage.open_gate()
        stage.assert_done(["call-1"])
    assert stage.client.result("call-1").epoch == 1
    stage.assert_invariants(accepted=1)


def test_row_21_an_entry_deleted_and_its_worker_killed(stage: Scene) -> None:
    with stage.worker() as first:
        stage.gated("call-1")
        stage.wait_until_begun(["call-1"])
        stage.raw.xtrim(stage.keys.stream("normal"), maxlen=0, approximate=False)
        first.kill()
    with stage.worker():
        result = stage.results(["call-1"])["call-1"]
    assert result.state is State.DEAD
    assert result.error.code is Code.ENTRY_LOST
    stage.assert_invariants(accepted=1)


def test_row_23_an_orphan_asks_for_a_worker(own_stage: Scene) -> None:
    stream = own_stage.keys.stream("normal")
    with own_stage.worker() as only:
        own_stage.gated("call-1")
        own_stage.wait_until_begun(["call-1"])
        only.kill()
    assert own_stage.raw.xlen(stream) == 1
    own_stage.server.restart()
    assert own_stage.raw.xlen(stream) == 1, "nobody would start a worker after this restart"
    own_stage.open_gate()
    with own_stage.worker():
        own_stage.assert_done(["call-1"])
    assert own_stage.status("call-1").deliveries == 2
    own_stage.assert_invariants(accepted=1)
