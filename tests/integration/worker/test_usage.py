"""The usage of a real run: what its jobs are told is what its engine was busy."""

from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import pytest
import redis

from support.audio.files import clips
from support.servers import wait_for
from support.workers import DIRECTED, running_worker
from whisperfleet.client import Client
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import Keys
from whisperfleet.contract.result import Result
from whisperfleet.contract.states import State
from whisperfleet.demo.server import EmbeddedServer

BUSY = "whisperfleet_engine_seconds_total"
LOST = "whisperfleet_lost_device_seconds_total"
OWNERS = (("high", "acme"), ("normal", "acme"), ("normal", "globex"), ("low", None))
WAIT_SECONDS = 120.0


@pytest.fixture
def redis_client(any_server: EmbeddedServer) -> Iterator[redis.Redis]:
    with any_server.settings.connect() as connection:
        yield connection


def run(client: Client, job_ids: list[str]) -> list[Result]:
    results = [result for _, result in client.wait(job_ids, timeout_seconds=WAIT_SECONDS)]
    assert {result.state for result in results} == {State.DONE}
    return results


def told_seconds(results: list[Result]) -> float:
    return sum(result.usage.device_seconds for result in results if result.usage)


def summed(server: EmbeddedServer, keys: Keys, figure: str) -> dict[str, int]:
    """Return a figure of the queue's sums, by class and tenant."""
    with server.settings.connect() as connection:
        sums = {name.decode(): int(n) for name, n in connection.hgetall(keys.usage).items()}
    named = {name.rpartition("/")[::2]: amount for name, amount in sums.items()}
    return {owner: amount for (owner, what), amount in named.items() if what == figure}


def test_the_device_seconds_of_all_jobs_are_the_engines_busy_time(
    any_server: EmbeddedServer, queue_id: str
) -> None:
    client = Client(any_server.settings, queue_id)
    job_ids = []
    for number, (priority, tenant) in zip(range(24), cycle(OWNERS), strict=False):
        audio = clips()[number % len(clips())][0]
        # Other words to go on from, so that the cache answers none of them.
        job = Job(audio=audio, tenant=tenant, prompt=f"call {number}")
        job_ids.append(client.submit(job, priority))
    with running_worker(any_server, queue_id, "--batch-size", "4") as worker:
        results = run(client, job_ids)
        busy = worker.counted(BUSY)
        passes = worker.counted("whisperfleet_batch_windows_count")
        assert worker.counted("whisperfleet_windows_total") > passes, "no batch was shared"
        assert worker.counted(LOST) == 0

        assert abs(told_seconds(results) - busy) <= 0.01 * busy
        sums = summed(any_server, client.keys, "device_ms")
        assert sums.keys() == {f"{priority}/{tenant or ''}" for priority, tenant in OWNERS}
        # Each job is rounded to a millisecond.
        assert abs(sum(sums.values()) - 1000 * told_seconds(results)) <= len(results) / 2

        priority, tenant = OWNERS[0]
        again = Job(audio=clips()[0][0], tenant=tenant, prompt="call 0", metadata={"n": 2})
        (cached,) = run(client, [client.submit(again, priority)])
        assert cached.usage.cached
        assert worker.counted(BUSY) == busy
        assert summed(any_server, client.keys, "device_ms") == sums
        assert summed(any_server, client.keys, "cached") == {f"{priority}/{tenant}": 1}
        assert sum(summed(any_server, client.keys, "jobs").values()) == len(results) + 1


def test_what_an_attempt_used_that_did_not_end_its_job_is_counted_as_lost(
    any_server: EmbeddedServer, redis_client: redis.Redis, queue_id: str, tmp_path: Path
) -> None:
    client = Client(any_server.settings, queue_id)
    gate = tmp_path / "gate"
    keys = client.keys
    with running_worker(any_server, queue_id, "--batch-size", "4", program=DIRECTED) as worker:
        job_ids = [
            client.submit(Job(audio=clips()[0][0], prompt=f"gate {gate}", metadata={"n": n}))
            for n in range(2)
        ]
        wait_for(lambda: worker.counted("whisperfleet_jobs_in_flight") == 2, "both are begun")
        fenced, kept = job_ids
        # As another worker does that takes it over.
        redis_client.hincrby(keys.job(fenced), "epoch", 1)
        gate.touch()
        results = run(client, [kept])
        wait_for(lambda: worker.counted(LOST) > 0, "the fenced attempt to end")
        busy = worker.counted(BUSY)
        assert abs(told_seconds(results) + worker.counted(LOST) - busy) <= 0.01 * busy
    assert client.result(fenced) is None
