"""The client of asyncio: one reader for any number of waits, whatever the server does."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import redis

from support.queue.consumers import done, take
from whisperfleet.client import AsyncClient, watch
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import Keys
from whisperfleet.contract.result import Result
from whisperfleet.contract.states import State
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.errors import ClientClosedError, ResultGoneError
from whisperfleet.queue import Concluded, RedisSettings, WorkQueue

URL = "https://media.example.org/a.wav"
JOB = Job(url=URL)
WAITS = 1000


async def ending(client: AsyncClient, job_id: str, seconds: float | None = 100) -> Result:
    ((_, result),) = [answer async for answer in client.wait([job_id], seconds)]
    return result


@asynccontextmanager
async def opened(settings: RedisSettings, queue_id: str) -> AsyncIterator[AsyncClient]:
    """A client that leaves no task behind."""
    before = asyncio.all_tasks()
    async with AsyncClient(settings, queue_id) as client:
        yield client
    assert asyncio.all_tasks() == before


async def until(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    try:
        async with asyncio.timeout(seconds):
            # Nothing in Redis sets an event.
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.005)
    except TimeoutError:
        pytest.fail(f"not within {seconds} s: {what}")


def has_looked(client: AsyncClient, waits: int) -> bool:
    """Return whether so many wait and each has looked at the results after it began."""
    events = client._events
    return (
        events._watch.has_place
        and len(events._waiters) == waits
        and not any(waiter.not_looked_at for waiter in events._waiters)
    )


def test_a_thousand_waits_are_one_reader(own_server: EmbeddedServer, queue_id: str) -> None:
    async def scenario(admin: redis.Redis) -> None:
        worker = WorkQueue(admin, Keys(queue_id), "worker")
        async with opened(own_server.settings, queue_id) as client:
            ids = await client.submit_many([JOB] * WAITS)
            admin.config_resetstat()
            waits = [asyncio.create_task(ending(client, job_id)) for job_id in ids]
            await until(
                lambda: admin.info("clients")["blocked_clients"] >= 1, "a reader that waits"
            )
            await until(lambda: has_looked(client, WAITS), "all have been looked at")
            assert admin.info("clients")["blocked_clients"] == 1
            # This test's, the reader of events, and that of results.
            assert len(admin.client_list()) <= 3
            for _ in ids:
                claim = await asyncio.to_thread(take, worker)
                await asyncio.to_thread(worker.settle, claim, Concluded(done(claim)))
            assert [result.id for result in await asyncio.gather(*waits)] == ids
            calls = {
                name: admin.info("commandstats").get(f"cmdstat_{name}", {"calls": 0})["calls"]
                for name in ("xread", "mget")
            }
            # A poll for each would be a thousand at least for each second.
            assert calls["xread"] <= WAITS + 2
            assert calls["mget"] <= 2 * WAITS

    with own_server.settings.connect() as admin:
        asyncio.run(scenario(admin))


def test_waits_outlast_a_killed_server(queue_id: str) -> None:
    async def scenario(server: EmbeddedServer) -> None:
        async with opened(server.settings, queue_id) as client:
            ids = await client.submit_many([JOB] * 50)
            waits = [asyncio.create_task(ending(client, job_id, None)) for job_id in ids]
            for _ in range(2):
                await until(lambda: has_looked(client, 50), "all wait")
                server.kill()
                await until(lambda: client._events._away is not None, "it is noticed")
                server.start()
                await until(lambda: client._events._away is None, "it is back")
            with server.settings.connect() as connection:
                worker = WorkQueue(connection, Keys(queue_id), "worker")
                for _ in ids:
                    claim = take(worker)
                    worker.settle(claim, Concluded(done(claim)))
            results = await asyncio.gather(*waits)
            assert {result.state for result in results} == {State.DONE}

    with EmbeddedServer(append_only=True) as server:
        asyncio.run(scenario(server))


def test_events_of_a_server_that_began_anew_are_heard(
    own_server: EmbeddedServer, queue_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing but an event leads to a look.
    monkeypatch.setattr(watch, "_LOOK_SECONDS", 1e6)
    keys = Keys(queue_id)

    async def scenario() -> None:
        with own_server.settings.connect() as admin:
            # As of a server whose clock was ahead; the next one keeps nothing.
            admin.xadd(keys.done, {"id": "another", "state": "done"}, id="99999999999999-0")
            async with opened(own_server.settings, queue_id) as client:
                waiting = asyncio.create_task(ending(client, "call-7"))
                await until(lambda: has_looked(client, 1), "it waits")
                own_server.restart()
                await until(lambda: client._events._away is not None, "it is noticed")
                await until(lambda: client._events._away is None, "it is back")
                await until(lambda: has_looked(client, 1), "it reads again")
                await until(lambda: not client._events._watch.has_marked, "it has looked again")
                result = Result(id="call-7", state=State.DONE)
                admin.set(keys.result("call-7"), result.model_dump_json())
                admin.xadd(keys.done, {"id": "call-7", "state": "done"})
                assert await waiting == result

    asyncio.run(scenario())


def test_a_stopped_server_holds_no_deadline_up(own_server: EmbeddedServer, queue_id: str) -> None:
    async def scenario() -> None:
        async with opened(own_server.settings, queue_id) as client:
            job_id = await client.submit(JOB)
            early = asyncio.create_task(ending(client, job_id))
            await until(lambda: has_looked(client, 1), "it waits")
            os.kill(own_server.pid, signal.SIGSTOP)
            began = asyncio.get_running_loop().time()
            try:
                with pytest.raises(TimeoutError):
                    await ending(client, job_id, 0.1)
            finally:
                os.kill(own_server.pid, signal.SIGCONT)
            # Redis has 15 s to answer.
            assert asyncio.get_running_loop().time() - began < 12
            early.cancel()
            await asyncio.gather(early, return_exceptions=True)

    asyncio.run(scenario())


def test_what_was_trimmed_before_it_was_read_is_found(
    server: EmbeddedServer,
    redis_client: redis.Redis,
    keys: Keys,
    worker: WorkQueue,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "_LOOK_SECONDS", 0.05)
    # Each read comes back at once, with nothing.
    monkeypatch.setattr(RedisSettings, "max_block_seconds", 0.05)

    async def scenario() -> None:
        async with opened(server.settings, keys.queue_id) as client:
            job_id = await client.submit(JOB)
            waiting = asyncio.create_task(ending(client, job_id))
            await until(lambda: client._events._watch.has_place, "it reads")
            claim = take(worker)
            with redis_client.pipeline(transaction=True) as pipeline:
                pipeline.set(keys.result(job_id), done(claim).model_dump_json())
                pipeline.xadd(keys.done, {"id": job_id, "state": "done"})
                pipeline.xtrim(keys.done, maxlen=0, approximate=False)
                pipeline.execute()
            assert (await waiting).state is State.DONE

    asyncio.run(scenario())


def test_who_waits_when_the_client_is_closed_is_told(server: EmbeddedServer, queue_id: str) -> None:
    async def scenario() -> None:
        async with opened(server.settings, queue_id) as client:
            ids = await client.submit_many([JOB] * 100)
            waits = [asyncio.create_task(ending(client, job_id, None)) for job_id in ids]
            await until(lambda: len(client._events._waiters) == 100, "all wait")
        errors = await asyncio.gather(*waits, return_exceptions=True)
        assert {type(error) for error in errors} == {ClientClosedError}
        assert ids[0] in str(errors[0])
        with pytest.raises(ClientClosedError):
            await client.submit(JOB)
        with pytest.raises(ClientClosedError):
            await ending(client, ids[0])

    asyncio.run(scenario())


def test_nobody_is_waited_for_who_does_not_answer_at_first(
    own_server: EmbeddedServer, queue_id: str
) -> None:
    own_server.kill()

    async def scenario() -> None:
        async with opened(own_server.settings, queue_id) as client:
            for _ in range(2):
                with pytest.raises(redis.ConnectionError):
                    await ending(client, "normal-1-1", None)

    asyncio.run(scenario())


def test_a_storm_of_cancels_loses_no_connection_and_crosses_no_reply(
    server: EmbeddedServer, redis_client: redis.Redis, queue_id: str, worker: WorkQueue
) -> None:
    def made() -> int:
        return int(redis_client.info("stats")["total_connections_received"])

    before = made()

    async def scenario() -> None:
        async with opened(server.settings, queue_id) as client:
            ids = await client.submit_many([Job(id=f"call-{n}", url=URL) for n in range(20)])
            for _ in ids:
                claim = take(worker)
                worker.settle(claim, Concluded(done(claim)))

            async def ask(number: int) -> None:
                job_id = ids[number % len(ids)]
                result = await client.result(job_id)
                assert result is not None
                assert result.id == job_id
                assert (await ending(client, job_id)).id == job_id

            for wave in range(20):
                tasks = [asyncio.create_task(ask(number)) for number in range(100)]
                for number, task in enumerate(tasks):
                    if number % 7 == wave % 7:
                        await asyncio.sleep(0)
                    if number % 3:
                        task.cancel()
                ends = await asyncio.gather(*tasks, return_exceptions=True)
                assert all(
                    end is None or isinstance(end, asyncio.CancelledError) for end in ends
                ), ends
            await until(lambda: len(client._requests) <= 1, "only the reader is under way")
            pool = client._redis.connection_pool
            assert len(pool._in_use_connections) == len(client._requests)
            assert made() - before <= 32, "connections were closed by cancels"

    asyncio.run(scenario())


def test_a_wait_that_is_given_up_ends_none_other(
    server: EmbeddedServer, queue_id: str, worker: WorkQueue
) -> None:
    async def scenario() -> None:
        async with opened(server.settings, queue_id) as client:
            job_id = await client.submit(JOB)
            first, second = (asyncio.create_task(ending(client, job_id)) for _ in range(2))
            await until(lambda: len(client._events._waiters) == 2, "both wait")
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            claim = take(worker)
            worker.settle(claim, Concluded(done(claim)))
            assert (await second).state is State.DONE
            assert client._events._waiters == set()
            assert dict(client._events._by_job) == {}

    asyncio.run(scenario())


def test_who_sends_anew_is_not_told_of_what_was_gone_before(
    server: EmbeddedServer, redis_client: redis.Redis, keys: Keys, worker: WorkQueue
) -> None:
    async def scenario() -> None:
        async with opened(server.settings, keys.queue_id) as client:
            await client.submit(Job(id="call-7", url=URL))
            claim = take(worker)
            worker.settle(claim, Concluded(done(claim)))
            redis_client.delete(keys.result("call-7"))
            with pytest.raises(ResultGoneError):
                await ending(client, "call-7")
            redis_client.delete(keys.job("call-7"))
            await client.submit(Job(id="call-7", url=URL))
            waiting = asyncio.create_task(ending(client, "call-7"))
            await until(lambda: bool(client._events._waiters), "it waits")
            claim = take(worker)
            worker.settle(claim, Concluded(done(claim)))
            assert (await waiting).state is State.DONE

    asyncio.run(scenario())
