"""What is said and counted of a job that is handed back, and what its dead letter tells."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest
import redis
from prometheus_client import REGISTRY

from support.queue.consumers import PATIENT, take
from whisperfleet.client import Admin, Client
from whisperfleet.contract.codes import Code
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import Keys
from whisperfleet.contract.result import Result
from whisperfleet.contract.states import State
from whisperfleet.contract.usage import Usage
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.errors import MachineError, TransientError
from whisperfleet.queue import Claim, Outcome, Settled, WorkQueue
from whisperfleet.worker import job_runner
from whisperfleet.worker.control import Interrupted, JobControl, Stop
from whisperfleet.worker.job_runner import JobRunner
from whisperfleet.worker.machine import Machine
from whisperfleet.worker.needs import Need
from whisperfleet.worker.standing import Standing

POLICY = replace(PATIENT, lease_seconds=0.5, max_retries=1, max_releases=1)


class FailingPipeline:
    """Stands in for a worker's steps: every job fails with what the test gives it."""

    def __init__(self, failure: BaseException) -> None:
        self._failure = failure

    def run(self, claim: Claim, control: JobControl) -> NoReturn:  # noqa: ARG002
        raise self._failure


@pytest.fixture
def client(any_server: EmbeddedServer, queue_id: str) -> Iterator[Client]:
    with Client(any_server.settings, queue_id) as producer:
        yield producer


@pytest.fixture
def admin(any_server: EmbeddedServer, queue_id: str) -> Iterator[Admin]:
    """An administrator of the queue."""
    with Admin(any_server.settings, queue_id) as administrator:
        yield administrator


class RefusingQueue(WorkQueue):
    """A queue that takes no result while it has a `refusal`."""

    refusal: redis.RedisError | None = None

    def settle(self, claim: Claim, outcome: Outcome) -> Settled:
        if self.refusal:
            raise self.refusal
        return super().settle(claim, outcome)


@pytest.fixture
def queue(any_server: EmbeddedServer, keys: Keys) -> Iterator[RefusingQueue]:
    connection = any_server.settings.connect()
    yield RefusingQueue(connection, keys, "test-worker", policy=POLICY)
    connection.close()


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"whisperfleet_{name}_total", labels) or 0.0


def fail(queue: WorkQueue, failure: BaseException) -> Standing:
    standing = Standing()
    machine = Machine(Path("/scratch"), standing, 60.0)
    runner = JobRunner(queue, FailingPipeline(failure), standing, machine)
    runner.carry_out(take(queue), JobControl(60.0, lambda: None))
    return standing


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (TransientError(Code.FETCH_FAILED, "the server answered 503"), "fetch_failed"),
        (ZeroDivisionError("a fault of ours"), "internal"),
    ],
)
def test_a_retry_is_told_once_it_is_known(
    client: Client,
    admin: Admin,
    queue: WorkQueue,
    caplog: pytest.LogCaptureFixture,
    failure: Exception,
    reason: str,
) -> None:
    def said(sentence: str) -> list[str]:
        return [r.getMessage() for r in caplog.records if sentence in r.getMessage()]

    job_id = client.submit(Job(url="https://media.example.org/a.wav"))
    before = counted("releases", reason=reason)
    dead = counted("jobs", state="dead", code="retries_exhausted")

    fail(queue, failure)
    (sentence,) = said("is tried again in")
    assert "tried again in 0.5 s" in sentence, "Redis holds an entry back for a lease at most"
    assert counted("releases", reason=reason) == before + 1

    caplog.clear()
    fail(queue, failure)
    assert said("is tried again in") == []
    assert said("is not tried again (exhausted)")
    assert counted("releases", reason=reason) == before + 1
    assert counted("jobs", state="dead", code="retries_exhausted") == dead + 1
    assert client.result(job_id).state is State.DEAD
    ((_, letter),) = admin.dead_letters()
    assert "in run" in letter.traceback, "it does not tell where the failure was raised"
    assert type(failure).__name__ in letter.traceback


@pytest.mark.parametrize("stop", [Stop.DRAINING, Stop.ENGINE_LOST])
def test_a_release_is_counted_once_it_is_known(
    client: Client, queue: WorkQueue, caplog: pytest.LogCaptureFixture, stop: Stop
) -> None:
    caplog.set_level(logging.INFO, job_runner.__name__)
    client.submit(Job(url="https://media.example.org/a.wav"))
    before = counted("releases", reason=stop.value)
    dead = counted("jobs", state="dead", code="releases_exhausted")
    for _ in range(2):
        fail(queue, Interrupted(stop))
    assert counted("releases", reason=stop.value) == before + 1
    assert counted("jobs", state="dead", code="releases_exhausted") == dead + 1


def test_a_job_that_met_a_lack_of_the_machine_goes_back_uncounted(
    client: Client, queue: WorkQueue
) -> None:
    job_id = client.submit(Job(url="https://media.example.org/a.wav"))
    before = counted("releases", reason="machine")

    standing = fail(queue, MachineError("the scratch folder /scratch cannot be written"))

    assert counted("releases", reason="machine") == before + 1
    assert "/scratch" in standing.trouble(Need.MACHINE)
    status = client.status(job_id)
    assert (status.state, status.deliveries, status.retries) == (State.QUEUED, 1, 0)
    assert "its worker's machine failed" in status.history
    assert "/scratch" not in status.history, "what a worker's folders are called is its own affair"
    again = take(queue)
    assert (again.epoch, again.deliveries) == (2, 1)


@pytest.mark.parametrize(
    ("refusal", "is_everyones"),
    [
        (redis.exceptions.NoPermissionError("this user has no permissions"), True),
        (redis.ConnectionError("Connection refused"), False),
        (redis.ResponseError("WRONGKEY the key holds a list"), False),
    ],
)
def test_a_result_that_redis_refuses_is_noted_where_a_person_must_help(
    client: Client, queue: RefusingQueue, refusal: redis.RedisError, is_everyones: bool
) -> None:
    client.submit(Job(url="https://media.example.org/a.wav"))
    queue.refusal = refusal
    standing = fail(queue, Interrupted(Stop.DRAINING))
    assert bool(standing.trouble(Need.PUBLISH)) == is_everyones


class UsingPipeline:
    """Stands in for a worker's steps: every job is done, after so many seconds of the device."""

    def __init__(self, seconds: float) -> None:
        self._usage = Usage(device_seconds=seconds)

    def run(self, claim: Claim, control: JobControl) -> Result:  # noqa: ARG002
        return Result(id=claim.job_id, state=State.DONE, usage=self._usage)


@pytest.mark.parametrize(
    ("refusal", "is_fenced", "lost"),
    [
        (None, False, 0.0),
        (None, True, 2.5),
        (redis.ResponseError("WRONGKEY the key holds a list"), False, 2.5),
    ],
)
def test_a_result_that_is_not_published_has_its_device_seconds_lost(
    client: Client,
    queue: RefusingQueue,
    refusal: redis.RedisError | None,
    is_fenced: bool,
    lost: float,
) -> None:
    client.submit(Job(url="https://media.example.org/a.wav"))
    claim = take(queue)
    queue.refusal = refusal
    if is_fenced:
        claim = replace(claim, epoch=claim.epoch - 1)
    before = counted("lost_device_seconds")
    standing = Standing()
    runner = JobRunner(queue, UsingPipeline(2.5), standing, Machine(Path("/"), standing, 60.0))
    runner.carry_out(claim, JobControl(60.0, lambda: None))
    assert counted("lost_device_seconds") - before == pytest.approx(lost)
