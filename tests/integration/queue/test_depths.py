"""What waits and what runs, to everybody who asks: handed back, silent, retried, deleted."""

from datetime import UTC, datetime

import pytest
import redis

from support.queue.consumers import MakeWorker
from support.servers import wait_for
from whisperfleet.client import Admin, Client
from whisperfleet.contract.codes import Code
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import DEFAULT_PRIORITIES, Keys
from whisperfleet.errors import TransientError
from whisperfleet.queue import Buried, QueuePolicy, Released, Retried, WorkQueue, depths
from whisperfleet.queue.depths import StreamDepth, measure

URL = "https://example.org/a.wav"
SHORT = QueuePolicy(lease_seconds=0.2, beat_seconds=0.05, reclaim_seconds=60)


def depth(client: redis.Redis, keys: Keys, lease_seconds: float = 60) -> StreamDepth:
    (found,) = measure(client, keys, [keys.stream("normal")], lease_seconds).streams
    return found


def counts(found: StreamDepth) -> tuple[int, int]:
    return found.waiting, found.running


def test_what_was_handed_back_waits(
    worker: WorkQueue, client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    client.submit_many([Job(url=URL), Job(id="own", url=URL), Job(url=URL)])
    first, own = worker.claim(), worker.claim()
    assert counts(depth(redis_client, keys)) == (1, 2)
    worker.settle(own, Released())
    worker.settle(first, Retried(TransientError(Code.FETCH_FAILED, "503"), delay_seconds=30))
    # The one at once, the other after half a minute: nobody holds either of them.
    assert counts(depth(redis_client, keys)) == (3, 0)
    assert depth(redis_client, keys).oldest == datetime.fromtimestamp(first.enqueued_at, UTC)


def test_who_is_silent_for_longer_than_the_lease_of_the_workers_holds_nothing(
    make_worker: MakeWorker, client: Client, admin: Admin, redis_client: redis.Redis, keys: Keys
) -> None:
    client.submit(Job(url=URL))
    assert make_worker(SHORT).claim() is not None
    # The workers have said what their lease is; who asks thinks of another.
    wait_for(
        lambda: counts(depth(redis_client, keys, lease_seconds=600)) == (1, 0),
        "the lease has lapsed",
    )
    assert [(s.length, s.running) for s in admin.stats().streams] == [(0, 0), (1, 0), (0, 0)]


def test_the_lease_is_that_of_who_asks_while_no_worker_has_told_its_own(
    redis_client: redis.Redis, keys: Keys
) -> None:
    stream = keys.stream("normal")
    redis_client.xgroup_create(stream, keys.group, id="0", mkstream=True)
    entry = redis_client.xadd(stream, {"url": URL})
    redis_client.xreadgroup(keys.group, "stranger", {stream: ">"})
    redis_client.xclaim(stream, keys.group, "stranger", 0, [entry], idle=30_000)
    assert counts(depth(redis_client, keys, lease_seconds=60)) == (0, 1)
    assert counts(depth(redis_client, keys, lease_seconds=20)) == (1, 0)


def test_every_page_is_counted(
    worker: WorkQueue,
    client: Client,
    redis_client: redis.Redis,
    keys: Keys,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(depths, "_PAGE", 3)
    client.submit_many([Job(url=URL) for _ in range(12)])
    held = [worker.claim() for _ in range(10)]
    for claim in held[4:6]:
        worker.settle(claim, Released())
    found = depth(redis_client, keys)
    assert counts(found) == (4, 8)
    assert found.oldest == datetime.fromtimestamp(held[4].enqueued_at, UTC)


def test_a_stream_without_a_group_waits(redis_client: redis.Redis, keys: Keys) -> None:
    assert depth(redis_client, keys) == StreamDepth(0, 0, None, has_group=False)
    redis_client.xadd(keys.stream("normal"), {"url": URL}, id="1764500000000-0")
    oldest = datetime.fromtimestamp(1764500000, UTC)
    assert depth(redis_client, keys) == StreamDepth(1, 0, oldest, has_group=False)


def test_an_id_that_is_no_time_gives_none(redis_client: redis.Redis, keys: Keys) -> None:
    stream = keys.stream("normal")
    # Nanoseconds of this year: to Redis the year 56913294.
    redis_client.xadd(stream, {"url": URL}, id="1764500000000000000-0")
    assert depth(redis_client, keys) == StreamDepth(1, 0, None, has_group=False)


def test_a_queue_is_as_deep_as_its_streams_together(
    make_worker: MakeWorker, redis_client: redis.Redis, keys: Keys
) -> None:
    streams = [stream.key for stream in keys.streams(DEFAULT_PRIORITIES, ["acme"])]
    for number, stream in enumerate(streams[1:]):
        redis_client.xadd(stream, {"url": URL}, id=f"{1764500000000 + number}-0")
    worker = make_worker(tenants=["acme"])
    held = [worker.claim() for _ in range(3)]
    worker.settle(held[0], Buried(Code.INTERNAL, "it broke"))
    found = measure(redis_client, keys, streams, lease_seconds=60)
    assert [stream.length for stream in found.streams].count(1) == len(streams) - 2
    assert (found.waiting, found.running, found.dead_letters) == (len(streams) - 4, 2, 1)
    assert found.oldest == min(stream.oldest for stream in found.streams if stream.oldest)
    for claim in held[1:]:
        worker.settle(claim, Released())
    found = measure(redis_client, keys, streams, lease_seconds=60)
    assert (found.waiting, found.running) == (len(streams) - 2, 0)
    nothing = measure(redis_client, keys, [], lease_seconds=60)
    assert (nothing.waiting, nothing.oldest, nothing.dead_letters) == (0, None, 1)
