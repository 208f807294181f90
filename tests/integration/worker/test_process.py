"""The worker as a process: exit codes, true health, an orderly end."""

import shutil
import signal
import socket
from itertools import cycle
from pathlib import Path

import pytest

from hack.process_tree import process_tree
from support.audio.files import clips, noise, wav
from support.servers import wait_for
from support.workers import running_worker, start_worker
from whisperfleet.client import Client
from whisperfleet.contract.codes import Code
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import Keys
from whisperfleet.contract.states import State
from whisperfleet.demo.server import EmbeddedServer

# The goal of the design notes; what is asserted leaves room for a busy machine.
START_GOAL_SECONDS = 1.5


def test_start_to_ready(any_server, queue_id, report_figure):
    with running_worker(any_server, queue_id) as worker:
        seconds = next(line["seconds"] for line in worker.log if line.get("message") == "ready")
        report_figure(f"start to ready: {seconds:.2f} s (goal {START_GOAL_SECONDS} s)")
        assert worker.get("/readyz") == (200, "ok\n")
        assert worker.get("/livez") == (200, "ok\n")
        assert worker.get("/elsewhere")[0] == 404
        assert f"whisperfleet_startup_seconds {seconds}" in worker.get("/metrics")[1]
    assert seconds < 10 * START_GOAL_SECONDS


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (("--model", "/nowhere/model"), 4, "no model directory"),
        (("--redis", "redis://127.0.0.1:1/0"), 5, "does not answer"),
        (("--device", "cuda"), 3, "cuda"),
        (("--lease-seconds", "1"), 2, "lease"),
        (("--scratch", "/nowhere/scratch"), 2, "scratch"),
    ],
)
def test_what_cannot_start_says_why_and_ends(any_server, queue_id, options, code, sentence):
    if "cuda" in options and shutil.which("nvidia-smi"):
        pytest.skip("this machine has an NVIDIA GPU, so cuda starts")
    worker = start_worker(any_server, queue_id, *options)
    assert worker.wait() == code
    assert sentence in worker.raw_log


def test_nothing_is_claimed_before_leases_are_renewed(any_server, queue_id, tmp_path):
    # Every interpreter imports this first; the lease process waits there for its gate.
    gate = tmp_path / "gate"
    (tmp_path / "sitecustomize.py").write_text(
        "import os, pathlib, sys, time\n"
        "if 'whisperfleet.worker.lease_process' in sys.orig_argv:\n"
        "    worker = os.getppid()\n"
        f"    while os.getppid() == worker and not pathlib.Path({str(gate)!r}).exists():\n"
        "        time.sleep(0.01)\n"
    )
    keys = Keys(queue_id)
    client = Client(any_server.settings, queue_id)
    job = client.submit(Job(audio=clips()[0][0]))
    worker = start_worker(any_server, queue_id, environment={"PYTHONPATH": str(tmp_path)})
    try:
        with any_server.settings.connect() as raw:
            wait_for(lambda: raw.exists(keys.meta), "the worker is registered")
        for _ in range(50):
            assert worker.get("/readyz")[0] == 503
        assert client.status(job).state is State.QUEUED
        gate.touch()
        worker.wait_until_ready()
        ((_, result),) = client.wait([job], timeout_seconds=60)
        assert result.state is State.DONE
        assert worker.terminate() == 0
    finally:
        worker.kill()


def test_a_taken_port_is_named(any_server, queue_id):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        worker = start_worker(any_server, queue_id, "--http-port", str(port))
        assert worker.wait() == 2
    assert str(port) in worker.raw_log


def test_health_tells_a_hung_worker_from_one_that_waits_for_redis(queue_id):
    with EmbeddedServer(append_only=True) as server, running_worker(server, queue_id) as worker:
        server.kill()
        wait_for(lambda: worker.get("/readyz")[0] == 503, "not ready without Redis")
        assert "does not answer" in worker.get("/readyz")[1]
        assert worker.get("/livez") == (200, "ok\n"), "a restart would not bring Redis back"
        server.start()
        wait_for(lambda: worker.get("/readyz")[0] == 200, "ready again")
        client = Client(server.settings, queue_id)
        audio, said = clips()[0]
        ((_, result),) = client.wait([client.submit(Job(audio=audio))], timeout_seconds=60)
        assert result.transcript.text == said


def test_a_worker_that_ends_leaves_no_process(any_server, queue_id):
    with running_worker(any_server, queue_id) as worker:
        tree = process_tree(worker.process.pid)
        assert len(tree) > 2, "decoders and the lease keeper are processes of their own"
        worker.process.send_signal(signal.SIGKILL)
        worker.wait()
    wait_for(lambda: not any(map(_is_running, tree)), "the children are gone")


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


BREAKING = (str(Path(__file__).parents[2] / "support" / "programs" / "breaking_worker.py"),)
# Leases that cannot lapse within a test: what comes back was handed back.
PATIENT = ("--lease-seconds", "120", "--cache-seconds", "0")


def test_a_worker_whose_device_breaks_hands_its_jobs_back_and_ends(any_server, queue_id, tmp_path):
    client = Client(any_server.settings, queue_id)
    said = dict(zip(ids := [f"call-{n}" for n in range(12)], cycle(clips()), strict=False))
    for number, job_id in enumerate(ids):
        prompt = f"break {tmp_path / 'broken'}" if number == 5 else None
        client.submit(Job(id=job_id, audio=said[job_id][0], prompt=prompt))
    worker = start_worker(any_server, queue_id, *PATIENT, program=BREAKING)
    try:
        assert worker.wait() == 3, worker.raw_log
    finally:
        worker.kill()
    assert worker.said("the engine is gone, so this worker ends")
    assert worker.said("an illegal memory access was encountered")
    assert not worker.said("in a way that is not the producer's fault")
    assert not worker.said("the job is tried again")
    assert client.status(ids[5]).state is State.QUEUED
    with running_worker(any_server, queue_id, *PATIENT, program=BREAKING):
        results = dict(client.wait(ids, timeout_seconds=60))
    assert {result.state for result in results.values()} == {State.DONE}
    for job_id in ids:
        status = client.status(job_id)
        # For those that the engine had when it broke that counts as a beginning.
        suspected = "by a worker that broke" in status.history
        assert (status.retries, status.deliveries) == (0, 2 if suspected else 1)
        assert status.releases <= 1
        if job_id != ids[5]:
            assert results[job_id].transcript.text == said[job_id][1]
    assert client.status(ids[5]).deliveries == 2


def test_a_job_that_breaks_the_device_each_time_is_buried_and_no_other(any_server, queue_id):
    client = Client(any_server.settings, queue_id)
    said = dict(zip(ids := [f"call-{n}" for n in range(6)], cycle(clips()), strict=False))
    poison = ids[2]
    for job_id in ids:
        prompt = "break" if job_id == poison else None
        client.submit(Job(id=job_id, audio=said[job_id][0], prompt=prompt))

    def all_have_ended() -> bool:
        return all(client.result(job_id) for job_id in ids)

    broken = 0
    while not all_have_ended():
        options = (*PATIENT, "--max-deliveries", "3")
        worker = start_worker(any_server, queue_id, *options, program=BREAKING)
        try:
            wait_for(
                lambda worker=worker: worker.process.poll() is not None or all_have_ended(),
                "it breaks, or has done all",
                60,
            )
            broken += worker.process.poll() is not None
        finally:
            worker.kill()
    assert broken == 3
    result = client.result(poison)
    assert (result.state, result.error.code) == (State.DEAD, Code.DELIVERIES_EXHAUSTED)
    for job_id in set(ids) - {poison}:
        assert client.result(job_id).transcript.text == said[job_id][1]


def test_sigterm_finishes_what_fits_and_hands_back_the_rest(any_server, queue_id):
    client = Client(any_server.settings, queue_id)
    keys = Keys(queue_id)
    stream = keys.stream("normal")
    ids = [client.submit(Job(audio=wav(noise(20, seed)))) for seed in range(8)]
    options = ("--no-vad", "--drain-seconds", "0.1", "--max-in-flight", "4", "--beam-size", "5")
    with any_server.settings.connect() as raw:
        with running_worker(any_server, queue_id, *options) as worker:
            # The group is the worker's to make: before that the server knows none.
            wait_for(lambda: any(g["pending"] for g in raw.xinfo_groups(stream)), "a claim")
            assert worker.terminate() == 0
        assert raw.xlen(stream) > 0, "the test wants some work left"
        with running_worker(any_server, queue_id, "--no-vad"):
            results = dict(client.wait(ids, timeout_seconds=100))
    assert {result.state for result in results.values()} == {State.DONE}
    assert len(results) == len(ids)
