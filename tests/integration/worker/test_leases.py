"""Leases are renewed whatever befalls the process that does it, and only where they should be."""

import errno
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from support.queue.consumers import PATIENT, take
from support.servers import wait_for
from whisperfleet.backoff import Backoff
from whisperfleet.client import Client
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import DEFAULT_PRIORITIES, Keys
from whisperfleet.contract.states import State
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.queue import Claim, Lease, QueuePolicy, Renewal, WorkQueue
from whisperfleet.worker.control import JobControl
from whisperfleet.worker.lease_process import Greeting, Renewer
from whisperfleet.worker.lease_table import LeaseTable
from whisperfleet.worker.leases import LeaseKeeper, spawn_lease_process
from whisperfleet.worker.standing import Standing

POLICY = replace(PATIENT, lease_seconds=30.0, beat_seconds=0.1)
CONSUMER = "keeper"
SOON = Backoff(first_seconds=0.05, most_seconds=0.05)
URL = "https://media.example.org/a.wav"


class Stage:
    """One queue, and what keeps the leases of one of its consumers."""

    def __init__(self, server: EmbeddedServer, keys: Keys) -> None:
        self.server, self.keys = server, keys
        self.client = Client(server.settings, keys.queue_id)
        self.raw = server.settings.connect()
        self.standing = Standing()

    def queue(self, consumer: str, policy: QueuePolicy = POLICY) -> WorkQueue:
        return WorkQueue(self.server.settings.connect(), self.keys, consumer, policy=policy)

    def greeting(
        self,
        table: LeaseTable,
        *,
        policy: QueuePolicy = POLICY,
        stall_seconds: float = 300.0,
        parent: int | None = None,
    ) -> Greeting:
        return Greeting(
            redis=self.server.settings,
            queue_id=self.keys.queue_id,
            consumer=CONSUMER,
            policy=policy,
            priorities=DEFAULT_PRIORITIES,
            tenants=(),
            stall_seconds=stall_seconds,
            parent=parent or os.getpid(),
            table=table.descriptor,
            slots=table.slots,
        )

    @contextmanager
    def keeper(
        self,
        policy: QueuePolicy = POLICY,
        stall_seconds: float = 300.0,
        spawn: Callable[[int], "subprocess.Popen[str]"] = spawn_lease_process,
    ) -> Iterator[LeaseKeeper]:
        def greet(table: LeaseTable) -> Greeting:
            return self.greeting(table, policy=policy, stall_seconds=stall_seconds)

        with LeaseKeeper(4, greet, self.standing, spawn=spawn, restart=SOON) as keeper:
            keeper.wait_until_ready()
            yield keeper

    def claim(self, job_id: str) -> Claim:
        self.client.submit(Job(id=job_id, url=URL))
        return take(self.queue(CONSUMER))

    def assert_renewed_and_told(self, keeper: LeaseKeeper, job_id: str) -> None:
        """A job is renewed, and its thread learns of a cancel."""
        claim = self.claim(job_id)
        control = JobControl(60.0, keeper.step)
        keeper.hold(claim, control)
        begun = self.raw.hget(self.keys.job(job_id), "beat")
        wait_for(lambda: self.raw.hget(self.keys.job(job_id), "beat") != begun, "it is renewed")
        self.client.cancel(job_id)
        wait_for(lambda: control.stopping, "the job is told to stop")
        keeper.drop(claim)


@pytest.fixture
def stage(any_server: EmbeddedServer, keys: Keys) -> Iterator[Stage]:
    made = Stage(any_server, keys)
    wait_for(lambda: made.raw.info("server")["uptime_in_seconds"] > 0, "the server is up")
    yield made
    made.client.close()
    made.raw.close()


def said(caplog: pytest.LogCaptureFixture, sentence: str) -> Callable[[], bool]:
    return lambda: any(sentence in record.getMessage() for record in caplog.records)


def lease_process(keeper: LeaseKeeper) -> int:
    """Return the process of this keeper: workers of other tests have theirs."""
    child = keeper._child
    assert child is not None
    return child.pid


def test_a_lease_process_that_was_killed_or_cannot_start_is_replaced(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    refusals = iter([True, True, False, True, False])

    def sometimes(descriptor: int) -> "subprocess.Popen[str]":
        if next(refusals):
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return spawn_lease_process(descriptor)

    with stage.keeper(spawn=sometimes) as keeper:
        assert said(caplog, "could not be started")()
        stage.assert_renewed_and_told(keeper, "call-1")
        os.kill(lease_process(keeper), signal.SIGKILL)
        wait_for(said(caplog, "ended with status -9"), "its end is noticed")
        stage.assert_renewed_and_told(keeper, "call-2")
    with pytest.raises(ProcessLookupError):
        os.kill(lease_process(keeper), 0)


def test_lines_that_are_no_messages_are_passed_over(
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    # Every interpreter imports this first.
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if 'whisperfleet.worker.lease_process' in sys.orig_argv:\n"
        r"    os.write(1, b'cannot allocate memory\n\xff\xfe\n7\n[]\n{\"stop\": \"later\"}\n')"
        "\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with stage.keeper() as keeper:
        stage.assert_renewed_and_told(keeper, "call-1")
    garbled = [r for r in caplog.records if "no message" in r.getMessage()]
    assert len(garbled) == 5
    assert "cannot allocate memory" in garbled[0].getMessage()
    assert not said(caplog, "starting another")()


def test_the_lease_process_of_a_worker_that_was_killed_before_it_greeted_ends_quietly() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "whisperfleet.worker.lease_process"],
        input="",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_a_keeper_that_is_left_while_it_cannot_start_a_child_ends(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    def never(_: int) -> "subprocess.Popen[str]":
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    with LeaseKeeper(1, stage.greeting, stage.standing, spawn=never, restart=SOON) as keeper:
        wait_for(said(caplog, "could not be started"), "it tries")
        assert keeper.seconds_since_renewal > POLICY.lease_seconds, "nobody has renewed anything"
    assert not keeper._listener.is_alive()


def test_the_age_of_the_last_renewal_grows_while_the_lease_process_stands_still(
    stage: Stage,
) -> None:
    with stage.keeper() as keeper:
        wait_for(lambda: keeper.seconds_since_renewal < 5.0, "leases are renewed")
        child = lease_process(keeper)
        os.kill(child, signal.SIGSTOP)
        before = keeper.seconds_since_renewal
        wait_for(lambda: keeper.seconds_since_renewal > before + 1.0, "it grows")
        os.kill(child, signal.SIGCONT)
        wait_for(lambda: keeper.seconds_since_renewal < 1.0, "leases are renewed again")


def test_a_job_that_is_stuck_loses_its_lease_while_its_sibling_goes_on(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    brief = replace(POLICY, lease_seconds=2.0)
    other = stage.queue("other", brief)
    taken: list[Claim] = []

    def take_what_lapsed() -> bool:
        keeper.step()
        claim = other.claim()
        taken.extend([claim] if claim else [])
        return bool(taken)

    with stage.keeper(brief, stall_seconds=0.5) as keeper:
        for job_id, timeout_seconds in (("stuck", 0.2), ("healthy", 60.0)):
            keeper.hold(stage.claim(job_id), JobControl(timeout_seconds, keeper.step))
        wait_for(take_what_lapsed, "the stuck job is given to another")
    assert (taken[0].job_id, taken[0].epoch) == ("stuck", 2)
    assert stage.client.status("healthy").epoch == 1
    assert said(caplog, "the lease of stuck is renewed no more")()
    assert not said(caplog, "the lease of healthy")()


def test_what_was_claimed_during_a_beat_is_not_handed_back(stage: Stage) -> None:
    table = LeaseTable.create(4)
    reader = LeaseTable(os.dup(table.descriptor), table.slots)

    class ClaimedMeanwhile(WorkQueue):
        def renew(self, leases: Iterable[Lease]) -> dict[Lease, Renewal]:
            claim = stage.claim("call-1")
            table.hold(claim, 1e9)
            # As after a renewal that took long: the claim is old enough for an orphan.
            idle, entries = 1000, [claim.entry_id]
            stage.raw.xclaim(
                claim.stream, stage.keys.group, CONSUMER, 0, entries, idle=idle, justid=True
            )
            return super().renew(leases)

    queue = ClaimedMeanwhile(stage.server.settings.connect(), stage.keys, CONSUMER, policy=POLICY)
    Renewer(stage.greeting(reader, parent=os.getppid()), queue).renew()
    assert stage.client.status("call-1").state == "running"
    reader.close()
    table.close()


@pytest.mark.parametrize("claiming", [True, False])
def test_a_claim_that_is_still_being_read_is_not_handed_back(stage: Stage, claiming: bool) -> None:
    def beaten() -> bytes | None:
        return stage.raw.hget(stage.keys.meta, "heard")

    with stage.keeper() as keeper:
        with keeper.claiming() if claiming else nullcontext():
            claim = stage.claim("call-1")
            # Its reply takes several renewals.
            for _ in range(5):
                before = beaten()
                wait_for(lambda: beaten() != before, "another renewal")  # noqa: B023
            keeper.hold(claim, JobControl(60.0, keeper.step))
        status = stage.client.status("call-1")
        keeper.drop(claim)
    assert (status.state, status.releases) == (
        (State.RUNNING, 0) if claiming else (State.QUEUED, 1)
    )


def test_a_server_that_does_not_answer_costs_a_beat_and_not_the_lease(
    queue_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    policy = replace(POLICY, lease_seconds=10.0, beat_seconds=2.0)
    with (
        EmbeddedServer() as server,
        caplog.at_level(logging.WARNING),
        Stage(server, Keys(queue_id)).keeper(policy) as keeper,
    ):
        wait_for(lambda: keeper.seconds_since_renewal < 2.0, "leases are renewed")
        os.kill(server.pid, signal.SIGSTOP)
        try:
            wait_for(
                said(caplog, "cannot be renewed"), "the renewal gives up", policy.lease_seconds
            )
        finally:
            os.kill(server.pid, signal.SIGCONT)
        wait_for(lambda: keeper.seconds_since_renewal < 2.0, "leases are renewed again")
