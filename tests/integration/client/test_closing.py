"""A client that is closed lets everybody go and leaves nothing behind."""

import asyncio
import gc
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.servers import wait_for
from whisperfleet.client import Admin, AsyncClient, Client
from whisperfleet.contract.job import Job
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.errors import ClientClosedError
from whisperfleet.queue import RedisSettings
from whisperfleet.queue.requests import Conversation, Pause, ask

JOB = Job(url="https://media.example.org/a.wav")
# Far less than any pause, block or time-out that a client has.
SOON_SECONDS = 4.0


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def outcome(call: Callable[[], object]) -> BaseException | None:
    try:
        call()
    except BaseException as error:  # noqa: BLE001 - each test says which it may be
        return error
    return None


def test_whoever_waits_when_a_client_is_closed_is_told_at_once(
    server: EmbeddedServer, queue_id: str
) -> None:
    client = Client(server.settings, queue_id)
    ids = client.submit_many([JOB] * 20)
    with ThreadPoolExecutor(20) as threads, server.settings.connect() as raw:
        blocked = raw.info("clients")["blocked_clients"]
        waits = [
            threads.submit(outcome, lambda job_id=job_id: list(client.wait([job_id])))
            for job_id in ids
        ]
        wait_for(lambda: raw.info("clients")["blocked_clients"] >= blocked + 20, "all of them wait")
        began = time.monotonic()
        client.close()
        errors = [wait.result() for wait in waits]
    assert {type(error) for error in errors} == {ClientClosedError}
    assert time.monotonic() - began < SOON_SECONDS


def test_whoever_is_between_two_commands_when_a_client_is_closed_is_told_too(
    server: EmbeddedServer, queue_id: str
) -> None:
    with ThreadPoolExecutor(16) as threads:
        for _ in range(10):
            client = Client(server.settings, queue_id)
            begun = threading.Barrier(17)

            def ask(client: Client = client, begun: threading.Barrier = begun) -> None:
                begun.wait()
                while True:
                    client.status("normal-1-1")

            before = descriptors()
            asking = [threads.submit(outcome, ask) for _ in range(16)]
            begun.wait()
            client.close()
            assert {type(one.result()) for one in asking} == {ClientClosedError}
            # Also not those of a thread that was about to make a connection.
            assert descriptors() <= before


def test_a_job_that_would_be_sent_again_is_not_once_the_client_is_closed(queue_id: str) -> None:
    client = Client(RedisSettings("redis://127.0.0.1:1/0"), queue_id)
    with ThreadPoolExecutor(1) as threads:
        sending = threads.submit(outcome, lambda: client.submit(Job(id="a", url=JOB.url)))
        # For six more it would be tried again.
        assert isinstance(outcome(lambda: sending.result(1.0)), TimeoutError)
        began = time.monotonic()
        client.close()
        assert isinstance(sending.result(), ClientClosedError)
    assert time.monotonic() - began < SOON_SECONDS


def test_a_pause_ends_with_the_client(queue_id: str) -> None:
    client = Client(RedisSettings("redis://127.0.0.1:1/0"), queue_id)
    pausing = threading.Event()

    def conversation() -> Conversation[None]:
        pausing.set()
        yield Pause(100.0)
        yield from ask("PING")

    with ThreadPoolExecutor(1) as threads:
        asking = threads.submit(outcome, lambda: client._run(conversation()))
        pausing.wait()
        client.close()
        assert isinstance(asking.result(), ClientClosedError)


def test_an_administrator_that_is_closed_says_so(server: EmbeddedServer, queue_id: str) -> None:
    admin = Admin(server.settings, queue_id)
    admin.stats()
    admin.close()
    admin.close()
    for call in (admin.stats, admin.purge, lambda: list(admin.dead_letters())):
        with pytest.raises(ClientClosedError, match="make a new one"):
            call()


def use_client(settings: RedisSettings, queue_id: str) -> None:
    with Client(settings, queue_id) as client:
        job_id = client.submit(JOB)
        with pytest.raises(TimeoutError):
            list(client.wait([job_id], 0.01))


def use_admin(settings: RedisSettings, queue_id: str) -> None:
    with Admin(settings, queue_id) as admin:
        admin.purge()
        admin.stats()


def use_async_client(settings: RedisSettings, queue_id: str) -> None:
    async def use() -> None:
        async with AsyncClient(settings, queue_id) as client:
            job_id = await client.submit(JOB)
            with pytest.raises(TimeoutError):
                async for _ in client.wait([job_id], 0.01):
                    pass

    asyncio.run(use())


@pytest.mark.parametrize("use", [use_client, use_admin, use_async_client])
def test_fifty_that_were_opened_and_closed_leave_no_thread_and_no_descriptor(
    use: Callable[[RedisSettings, str], None], server: EmbeddedServer, queue_id: str
) -> None:
    use(server.settings, queue_id)
    # What is held in a circle is no part of what a close leaves behind: it must not hide it either.
    gc.disable()
    try:
        threads, held = threading.active_count(), descriptors()
        for _ in range(50):
            use(server.settings, queue_id)
        assert threading.active_count() == threads
        assert descriptors() == held
    finally:
        gc.enable()
