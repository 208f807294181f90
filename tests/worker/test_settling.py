"""What is said and counted of a job that is handed back, and what its dead letter tells."""

import logging
from collections.abc import Iterator
from dataclasses import replace

import pytest
from prometheus_client import REGISTRY

from consumers import PATIENT, take
from whisperfleet.client import Client
from whisperfleet.contract.codes import Code
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import Keys
from whisperfleet.contract.states import State
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.errors import TransientError
from whisperfleet.queue import Claim, WorkQueue
from whisperfleet.worker import settling
from whisperfleet.worker.control import Interrupted, JobControl, Stop
from whisperfleet.worker.settling import Settler

POLICY = replace(PATIENT, lease_seconds=0.5, max_retries=1, max_releases=1)


class FailingSteps:
    """Stands in for a worker's steps: every job fails with what the test gives it."""

    def __init__(self, failure: BaseException) -> None:
        self._failure = failure

    def run(self, claim: Claim, control: JobControl) -> None:  # noqa: ARG002
        raise self._failure


@pytest.fixture
def client(any_server: EmbeddedServer, queue_id: str) -> Iterator[Client]:
    with Client(any_server.settings, queue_id) as producer:
        yield producer


@pytest.fixture
def queue(any_server: EmbeddedServer, keys: Keys) -> Iterator[WorkQueue]:
    connection = any_server.settings.connect()
    yield WorkQueue(connection, keys, "test-worker", policy=POLICY)
    connection.close()


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"whisperfleet_{name}_total", labels) or 0.0


def fail(queue: WorkQueue, failure: BaseException) -> None:
    settler = Settler(queue, FailingSteps(failure))  # type: ignore[arg-type]
    settler.carry_out(take(queue), JobControl(60.0, lambda: None))


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (TransientError(Code.FETCH_FAILED, "the server answered 503"), "fetch_failed"),
        (ZeroDivisionError("a fault of ours"), "internal"),
    ],
)
def test_a_retry_is_told_once_it_is_known(
    client: Client,
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
    ((_, letter),) = client.dead_letters()
    assert "in run" in letter.traceback, "it does not tell where the failure was raised"
    assert type(failure).__name__ in letter.traceback


@pytest.mark.parametrize("stop", [Stop.DRAINING, Stop.ENGINE_LOST])
def test_a_release_is_counted_once_it_is_known(
    client: Client, queue: WorkQueue, caplog: pytest.LogCaptureFixture, stop: Stop
) -> None:
    caplog.set_level(logging.INFO, settling.__name__)
    client.submit(Job(url="https://media.example.org/a.wav"))
    before = counted("releases", reason=stop.value)
    dead = counted("jobs", state="dead", code="releases_exhausted")
    for _ in range(2):
        fail(queue, Interrupted(stop))
    assert counted("releases", reason=stop.value) == before + 1
    assert counted("jobs", state="dead", code="releases_exhausted") == dead + 1
