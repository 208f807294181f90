"""The threads that claim: suspects alone, upkeep in time, nothing claimed that would be lost."""

import logging
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace

import pytest
from prometheus_client import REGISTRY

from support.queue.consumers import PATIENT, done, take
from support.servers import assert_invariants, wait_for
from whisperfleet.client import Client
from whisperfleet.contract.codes import Code
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import Keys
from whisperfleet.contract.result import Failure, Result
from whisperfleet.contract.states import State
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.queue import Claim, QueuePolicy, WorkQueue
from whisperfleet.worker.control import Interrupted, JobControl, Stop
from whisperfleet.worker.loop import LoopLimits, WorkLoop
from whisperfleet.worker.needs import Need
from whisperfleet.worker.standing import Standing

POLICY = replace(PATIENT, reclaim_seconds=0.05)
OLD_MS = int(POLICY.lease_seconds * 1000) + 1
URL = "https://media.example.org/a.wav"


class GatedPipeline:
    """Stands in for a worker's steps: a job ends once its gate is open."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.gates: dict[str, threading.Event] = {}

    def gate(self, job_id: str) -> threading.Event:
        return self.gates.setdefault(job_id, threading.Event())

    def run(self, claim: Claim, control: JobControl) -> Result:
        try:
            control.check()
            self.ran.append(claim.job_id)
            self.gate(claim.job_id).wait()
            control.look()
        except Interrupted as interrupted:
            if interrupted.stop is Stop.DRAINING:
                raise
            state = State.CANCELLED if interrupted.stop is Stop.CANCELLED else State.FAILED
            error = Failure(code=Code.CANCELLED, message=interrupted.stop.value)
            return Result(id=claim.job_id, state=state, error=error)
        return done(claim)


class Leases:
    """Stands in for the lease keeper; the test says what it would have said."""

    def __init__(self) -> None:
        self.seconds_since_renewal = 0.0
        self.controls: dict[str, JobControl] = {}
        self.ends: dict[str, float] = {}

    def claiming(self) -> AbstractContextManager[None]:
        return nullcontext()

    def step(self) -> None:
        pass

    def hold(self, claim: Claim, control: JobControl) -> None:
        self.ends[claim.job_id] = control.ends
        self.controls[claim.job_id] = control

    def drop(self, claim: Claim) -> None:
        pass


class Blamed:
    """Stands in for the machine; what it was blamed for."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []

    def blame(self, error: BaseException) -> None:
        self.errors.append(error)


class Stage:
    """One queue with the test's own loop on it."""

    def __init__(self, server: EmbeddedServer, keys: Keys) -> None:
        self.server, self.keys = server, keys
        self.client = Client(server.settings, keys.queue_id)
        self.raw = server.settings.connect()
        self.pipeline, self.leases = GatedPipeline(), Leases()
        self.standing, self.machine = Standing(), Blamed()
        self.stopped = threading.Event()

    def queue(self, consumer: str, policy: QueuePolicy = POLICY) -> WorkQueue:
        return WorkQueue(self.server.settings.connect(), self.keys, consumer, policy=policy)

    @contextmanager
    def loop(
        self,
        job_timeout_seconds: float = 60.0,
        queue: WorkQueue | None = None,
        prune_seconds: float = 300.0,
    ) -> Iterator[WorkLoop]:
        limits = LoopLimits(
            2, job_timeout_seconds, 30.0, wait_seconds=0.05, prune_seconds=prune_seconds
        )
        loop = WorkLoop(
            queue or self.queue("loop"),
            self.pipeline,
            self.leases,
            limits,
            self.standing,
            self.machine,
        )
        thread = threading.Thread(target=loop.run, args=(self.stopped,))
        thread.start()
        try:
            yield loop
        finally:
            self.stopped.set()
            for gate in self.pipeline.gates.values():
                gate.set()
            thread.join()

    def age(self, claim: Claim, deliveries: int) -> None:
        """Make a claim one whose worker died, and so many before."""
        self.raw.xclaim(
            claim.stream,
            self.keys.group,
            "dead",
            0,
            [claim.entry_id],
            idle=OLD_MS,
            retrycount=deliveries,
            justid=True,
        )

    def state(self, job_id: str) -> State | None:
        status = self.client.status(job_id)
        return status.state if status else None

    @contextmanager
    def suspect_that_waits(self, job_timeout_seconds: float = 60.0) -> Iterator[WorkLoop]:
        """A loop that carries `healthy` out, and has claimed `poison` beside it."""
        self.client.submit(Job(id="poison", url=URL))
        poison = take(self.queue("dead"))
        self.client.submit(Job(id="healthy", url=URL))
        with self.loop(job_timeout_seconds) as loop:
            wait_for(lambda: self.pipeline.ran == ["healthy"], "the healthy job runs")
            self.age(poison, deliveries=POLICY.suspect_deliveries)
            wait_for(lambda: "poison" in self.leases.controls, "the suspect is claimed")
            yield loop


@pytest.fixture
def stage(any_server: EmbeddedServer, keys: Keys) -> Iterator[Stage]:
    made = Stage(any_server, keys)
    wait_for(lambda: made.raw.info("server")["uptime_in_seconds"] > 0, "the server is up")
    yield made
    made.client.close()
    made.raw.close()


def jobs_total(state: State, code: Code) -> float:
    labels = {"state": state.value, "code": code.value}
    return REGISTRY.get_sample_value("whisperfleet_jobs_total", labels) or 0.0


def test_a_suspect_that_waits_is_handed_back_by_a_drain(stage: Stage) -> None:
    with stage.suspect_that_waits():
        stage.stopped.set()
        wait_for(lambda: stage.client.status("poison").releases == 1, "it is handed back")
        assert stage.state("poison") is State.QUEUED
        assert stage.state("healthy") is State.RUNNING
    assert stage.pipeline.ran == ["healthy"], "poison ran beside a job that drained"
    assert stage.state("healthy") is State.DONE


def test_a_suspects_time_begins_when_it_is_alone(stage: Stage) -> None:
    with stage.suspect_that_waits(job_timeout_seconds=0.3) as loop:
        wait_for(lambda: loop.overdue_seconds > 0.3, "the time of both would be up")
        assert stage.leases.ends["poison"] == math.inf, "its lease lapses though it only waits"
        stage.pipeline.gate("poison").set()
        stage.pipeline.gate("healthy").set()
        wait_for(lambda: stage.state("poison") in {State.DONE, State.FAILED}, "the suspect ends")
    assert stage.leases.ends["poison"] < math.inf, "its lease is renewed for ever"
    assert stage.state("poison") is State.DONE, "what never ran was said to take too long"
    assert stage.state("healthy") is State.FAILED, "it did take too long"


@pytest.mark.parametrize("stop", [Stop.CANCELLED, Stop.FENCED])
def test_a_suspect_that_waits_stops_when_told(stage: Stage, stop: Stop) -> None:
    with stage.suspect_that_waits():
        stage.leases.controls["poison"].stop(stop)
        wait_for(lambda: stage.state("poison") is not State.RUNNING, "the suspect ends")
        assert stage.state("healthy") is State.RUNNING
    assert stage.pipeline.ran == ["healthy"]


class BusyQueue(WorkQueue):
    """A queue that must have work at any time."""

    def wait(self, timeout_seconds: float) -> None:
        raise AssertionError(f"there was no work for a moment of {timeout_seconds} s")


def test_upkeep_is_done_though_there_is_always_work(stage: Stage) -> None:
    policy = replace(POLICY, dead_letter_seconds=0.2)
    stage.raw.xadd(stage.keys.dead_letters, {"id": "old"})
    ended = threading.Event()

    def keep_busy() -> None:
        while not ended.is_set():
            if stage.raw.xlen(stage.keys.stream("normal")) < 50:
                stage.client.submit_many(Job(url=URL) for _ in range(50))

    class OpenGates(GatedPipeline):
        def run(self, claim: Claim, control: JobControl) -> Result:
            control.check()
            return done(claim)

    stage.pipeline = OpenGates()
    busy = threading.Thread(target=keep_busy)
    busy.start()
    try:
        wait_for(lambda: stage.raw.xlen(stage.keys.stream("normal")), "there is work")
        queue = BusyQueue(stage.server.settings.connect(), stage.keys, "loop", policy=policy)
        with stage.loop(queue=queue, prune_seconds=0.1):
            wait_for(lambda: not stage.raw.xlen(stage.keys.dead_letters), "the old letter is gone")
    finally:
        ended.set()
        busy.join()


def test_what_ends_within_a_claim_is_logged_and_counted(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    endings = {
        "poison": (State.DEAD, Code.DELIVERIES_EXHAUSTED),
        "cancelled": (State.CANCELLED, Code.CANCELLED),
    }
    before = {ending: jobs_total(*ending) for ending in endings.values()}
    stage.client.submit(Job(id="poison", url=URL))
    stage.age(take(stage.queue("dead")), deliveries=POLICY.max_deliveries)
    stage.client.cancel("cancelled")
    stage.client.submit(Job(id="cancelled", url=URL))
    with caplog.at_level(logging.WARNING), stage.loop():
        wait_for(lambda: all(stage.client.result(job_id) for job_id in endings), "both end")
    for job_id, ending in endings.items():
        assert jobs_total(*ending) == before[ending] + 1
        (line,) = [r for r in caplog.records if getattr(r, "job_id", None) == job_id]
        assert (line.state, line.code) == ending
    assert stage.pipeline.ran == []
    assert_invariants(stage.raw, stage.keys, accepted=2)


def leases_lapse(stage: Stage) -> None:
    stage.leases.seconds_since_renewal = POLICY.lease_seconds + 1


def leases_hold(stage: Stage) -> None:
    stage.leases.seconds_since_renewal = 0.0


def the_machine_lacks(stage: Stage) -> None:
    stage.standing.note(Need.MACHINE, "the scratch folder /scratch cannot be written")


def the_machine_has(stage: Stage) -> None:
    stage.standing.note(Need.MACHINE)


def results_are_refused(stage: Stage) -> None:
    stage.standing.note(Need.PUBLISH, "results cannot be published: Redis refuses this account")


def results_are_taken(stage: Stage) -> None:
    stage.standing.note(Need.PUBLISH)


@pytest.mark.parametrize(
    ("hinder", "remove"),
    [
        (leases_lapse, leases_hold),
        (the_machine_lacks, the_machine_has),
        (results_are_refused, results_are_taken),
    ],
)
def test_nothing_is_claimed_that_could_not_be_kept_carried_out_and_ended(
    stage: Stage,
    caplog: pytest.LogCaptureFixture,
    hinder: Callable[[Stage], None],
    remove: Callable[[Stage], None],
) -> None:
    def said(sentence: str) -> Callable[[], bool]:
        return lambda: any(sentence in record.getMessage() for record in caplog.records)

    hinder(stage)
    stage.pipeline.gate("call-1").set()
    with caplog.at_level(logging.INFO), stage.loop() as loop:
        wait_for(said("claims no more"), "the worker says that it stops")
        assert loop.obstacle
        stage.client.submit(Job(id="call-1", url=URL))
        for _ in range(50):
            assert stage.raw.xlen(stage.keys.stream("normal")) == 1
            assert stage.pipeline.ran == []
        remove(stage)
        wait_for(lambda: stage.state("call-1") is State.DONE, "the job is done")
        assert not loop.obstacle
        assert said("claiming again")()
