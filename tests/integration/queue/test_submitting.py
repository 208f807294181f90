"""Many jobs at once: what was sent is known, whatever ends it; and many threads at once."""

import threading
from collections.abc import Iterator

import pytest
import redis

from support.queue.consumers import done, take
from support.servers import wait_for
from whisperfleet.client import Client, producer
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import Keys
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.errors import PartlySentError
from whisperfleet.queue import Concluded, WorkQueue

URL = "https://media.example.org/a.wav"
# More than redis-py lets a pool have by itself.
THREADS = 130


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(producer, "_PAGE", 2)


@pytest.mark.usefixtures("small_pages")
def test_the_ids_of_what_was_sent_outlive_a_server_that_gets_full(
    own_server: EmbeddedServer, queue_id: str
) -> None:
    with own_server.settings.connect() as admin, Client(own_server.settings, queue_id) as producer:

        def jobs() -> Iterator[Job]:
            for number in range(6):
                if number == 3:
                    # Full before the second page goes out.
                    admin.config_set("maxmemory", "1")
                yield Job(url=f"{URL}?{number}")

        with pytest.raises(PartlySentError) as caught:
            producer.submit_many(jobs())
        sent = [entry.decode() for entry, _ in admin.xrange(Keys(queue_id).stream("normal"))]
        assert caught.value.ids == (*(f"normal-{entry}" for entry in sent), None, None)
        assert len(sent) == 2
        assert isinstance(caught.value.__cause__, redis.exceptions.OutOfMemoryError)
        assert f"2 of the first 4 jobs were sent (normal-{sent[0]}, normal-{sent[1]})" in str(
            caught.value
        )
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            producer.submit_many([Job(url=URL)])


@pytest.mark.usefixtures("small_pages")
def test_the_ids_of_what_was_sent_outlive_a_job_that_cannot_be_and_a_server_that_goes(
    own_server: EmbeddedServer, queue_id: str
) -> None:
    def jobs(last: Job | None) -> Iterator[Job]:
        yield from [Job(url=URL, id="call-1"), Job(url=URL)]
        if last is None:
            own_server.kill()
        yield last or Job(url=URL)

    with Client(own_server.settings, queue_id, tenant="acme") as producer:
        with pytest.raises(PartlySentError, match="globex") as caught:
            producer.submit_many(jobs(Job(url=URL, tenant="globex")))
        assert caught.value.ids[0] == "call-1"
        assert len(caught.value.ids) == 2
        with pytest.raises(PartlySentError) as caught:
            producer.submit_many(jobs(None))
        assert caught.value.ids[2] is None
        assert isinstance(caught.value.__cause__, redis.ConnectionError)


def test_hundreds_of_threads_wait_through_one_client(
    worker: WorkQueue, client: Client, server: EmbeddedServer
) -> None:
    job_ids = [client.submit(Job(url=URL, id=f"call-{number}")) for number in range(THREADS)]
    answers: list[str] = []
    errors: list[BaseException] = []

    def wait(job_id: str) -> None:
        try:
            answers.extend(job_id for job_id, _ in client.wait([job_id], timeout_seconds=100))
        except (redis.RedisError, TimeoutError) as error:
            errors.append(error)

    threads = [threading.Thread(target=wait, args=(job_id,)) for job_id in job_ids]
    for thread in threads:
        thread.start()
    with server.settings.connect() as admin:
        wait_for(
            lambda: errors or admin.info("clients")["blocked_clients"] >= THREADS,
            "all threads wait",
            60,
        )
    for _ in job_ids:
        claim = take(worker)
        worker.settle(claim, Concluded(done(claim)))
    for thread in threads:
        thread.join()
    assert errors == []
    assert sorted(answers) == sorted(job_ids)


def test_more_threads_than_connections_take_turns(
    server: EmbeddedServer, queue_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whisperfleet.queue.connection._MOST_CONNECTIONS", 2)
    with Client(server.settings, queue_id) as producer:
        sent: list[str] = []
        threads = [
            threading.Thread(target=lambda: sent.append(producer.submit(Job(url=URL))))
            for _ in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(sent)) == 20
        with server.settings.connect() as admin:
            assert admin.xlen(producer.keys.stream("normal")) == 20
