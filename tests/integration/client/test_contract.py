"""A producer on a thread and one of asyncio: the same methods, answers and errors."""

import asyncio
import inspect
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import redis

import whisperfleet.client
from support.queue.consumers import done, take
from whisperfleet.client import AsyncClient, Cancelled, Client
from whisperfleet.contract.codes import Code
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import Keys
from whisperfleet.contract.states import State
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.errors import ClientClosedError, PartlySentError, ResultGoneError
from whisperfleet.queue import Concluded, WorkQueue

URL = "https://media.example.org/a.wav"
JOB = Job(url=URL)


class OnALoop:
    """An AsyncClient as a thread calls it, each method to its end."""

    def __init__(self, runner: asyncio.Runner, client: AsyncClient) -> None:
        self._runner = runner
        self._client = client
        self.keys = client.keys

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, "aclose" if name == "close" else name)

        async def call(*arguments: Any, **options: Any) -> Any:
            answer = method(*arguments, **options)
            if inspect.isasyncgen(answer):
                return [item async for item in answer]
            return await answer

        return lambda *arguments, **options: self._runner.run(call(*arguments, **options))


@pytest.fixture(params=["thread", "asyncio"])
def client(
    request: pytest.FixtureRequest, server: EmbeddedServer, queue_id: str
) -> Iterator[Client | OnALoop]:
    if request.param == "thread":
        with Client(server.settings, queue_id, tenant="acme") as producer:
            yield producer
        return
    with asyncio.Runner() as runner:

        async def make() -> AsyncClient:
            return AsyncClient(server.settings, queue_id, tenant="acme")

        producer = runner.run(make())
        yield OnALoop(runner, producer)
        runner.run(producer.aclose())


def end(worker: WorkQueue) -> str:
    claim = take(worker)
    worker.settle(claim, Concluded(done(claim).model_copy(update={"tenant": claim.tenant})))
    return claim.job_id


def test_a_job_from_its_beginning_to_its_end(client: Client, worker: WorkQueue) -> None:
    assert not client.has_been_read()
    job_id = client.submit(JOB, priority="high")
    waiting = client.status(job_id)
    assert (waiting.state, waiting.stream, waiting.tenant) == (State.QUEUED, "high", "acme")
    assert client.result(job_id) is None
    with pytest.raises(TimeoutError, match=job_id):
        list(client.wait([job_id], 0))
    end(worker)
    assert client.has_been_read("high")
    ((answered, result),) = client.wait([job_id], 100)
    assert (answered, result.state) == (job_id, State.DONE)
    assert client.result(job_id) == result
    assert client.status(job_id).state is State.DONE
    # It has ended: no time is needed to know.
    assert dict(client.wait([job_id], 0)) == {job_id: result}
    assert list(client.wait([], 0)) == []


def test_many_jobs_and_one_that_is_cancelled(client: Client, worker: WorkQueue) -> None:
    ids = client.submit_many([JOB] * 450)
    assert len(set(ids)) == 450
    for job_id in ids[:3]:
        assert client.cancel(job_id) is Cancelled.CANCELLED
    assert client.cancel(ids[0]) is Cancelled.ENDED
    assert client.cancel("not-yet") is Cancelled.NOTED
    assert end(worker) == ids[3]
    results = dict(client.wait(ids[:4], 100))
    assert [results[job_id].state for job_id in ids[:4]] == [*[State.CANCELLED] * 3, State.DONE]


def test_an_id_that_is_taken_is_answered_as_such(client: Client, worker: WorkQueue) -> None:
    client.submit(Job(id="call-7", url=URL))
    end(worker)
    client.submit(Job(id="call-7", url=f"{URL}?other"))
    assert worker.claim() is None
    ((job_id, result),) = client.wait(["call-7"], 100)
    assert (job_id, result.error.code) == ("call-7", Code.CONFLICTING_ID)


def test_what_cannot_come_is_not_waited_for(
    client: Client, worker: WorkQueue, redis_client: redis.Redis, keys: Keys
) -> None:
    ids = client.submit_many([JOB, JOB])
    end(worker)
    end(worker)
    redis_client.delete(keys.result(ids[0]))
    with pytest.raises(ResultGoneError) as caught:
        list(client.wait(ids, 100))
    assert caught.value.job_ids == (ids[0],)


def test_a_batch_that_is_cut_short_says_what_was_sent(client: Client) -> None:
    with pytest.raises(PartlySentError) as caught:
        client.submit_many([*[JOB] * 200, Job(url=URL, tenant="globex")])
    assert len(caught.value.ids) == 200
    with pytest.raises(ValueError, match=r"'urgent'.*high, normal, low"):
        client.submit(JOB, priority="urgent")
    with pytest.raises(ValueError, match="no number"):
        list(client.wait(["a"], float("nan")))


def test_a_closed_client_says_so(client: Client) -> None:
    client.close()
    for call in (
        lambda: client.submit(JOB),
        lambda: client.result("a"),
        lambda: list(client.wait(["a"], 100)),
    ):
        with pytest.raises(ClientClosedError, match="closed"):
            call()


def methods(kind: type) -> dict[str, list[tuple[str, object]]]:
    return {
        name: [(p.name, p.default) for p in inspect.signature(method).parameters.values()]
        for name, method in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_") or name == "__init__"
    }


def test_both_have_the_same_methods() -> None:
    of_thread, of_loop = methods(Client), methods(AsyncClient)
    of_loop["close"] = of_loop.pop("aclose")
    assert of_thread == of_loop


def test_the_names_that_programs_import() -> None:
    assert set(whisperfleet.client.__all__) == {
        *("Admin", "AsyncClient", "Client"),
        *("Cancelled", "Dropped", "JobStatus", "QueueStats", "Redriven", "StreamStats"),
        "TenantUsage",
    }
    for name in whisperfleet.client.__all__:
        assert getattr(whisperfleet.client, name).__name__ == name
    with pytest.raises(AttributeError, match="nothing"):
        _ = whisperfleet.client.nothing


def test_a_client_loads_no_model_no_decoder_and_no_client_of_another_kind() -> None:
    program = (
        "import sys; from whisperfleet.client import Client, Admin; print(*sorted("
        "{m for m in sys.modules if m.startswith('whisperfleet.')}"
        " | {m.partition('.')[0] for m in sys.modules}))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "whisperfleet.client.client" in loaded
    forbidden = {"ctranslate2", "numpy", "av", "faster_whisper", "kubernetes", "prometheus_client"}
    forbidden |= {"whisperfleet.client.async_client", "whisperfleet.queue.async_connection"}
    assert forbidden.isdisjoint(loaded)
