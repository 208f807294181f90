"""Trying to publish does nothing at all, whatever the queue holds."""

import redis

from consumers import MakeWorker, take
from whisperfleet.client import Client
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import Keys
from whisperfleet.queue import WorkQueue

URL = "https://media.example.org/a.wav"


def contents(client: redis.Redis, keys: Keys) -> dict[bytes, bytes]:
    """Return all that the queue holds."""
    return {key: client.dump(key) for key in client.scan_iter(f"{keys.prefix}*")}


def test_a_trial_leaves_a_queue_that_is_empty_empty(
    worker: WorkQueue, redis_client: redis.Redis, keys: Keys
) -> None:
    worker.try_to_publish()
    assert contents(redis_client, keys) == {}


def test_a_trial_and_an_audit_touch_nothing_that_others_hold(
    make_worker: MakeWorker, client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    holder, other = make_worker(), make_worker()
    # The lowest id that an entry can have.
    redis_client.xadd(keys.stream("normal"), {"url": URL}, id="0-1")
    take(holder)
    client.submit(Job(id="call-1", url=URL))
    take(holder)
    client.submit(Job(id="call-2", url=URL))
    pending = redis_client.xpending_range(keys.stream("normal"), keys.group, "-", "+", 10)
    owners = [(entry["message_id"], entry["consumer"]) for entry in pending]
    before = contents(redis_client, keys)

    other.try_to_publish()
    assert contents(redis_client, keys) == before

    other.audit([])
    pending = redis_client.xpending_range(keys.stream("normal"), keys.group, "-", "+", 10)
    assert [(entry["message_id"], entry["consumer"]) for entry in pending] == owners


def test_a_key_that_somebody_put_in_its_place_stays_as_it_is(
    worker: WorkQueue, redis_client: redis.Redis, keys: Keys
) -> None:
    redis_client.rpush(keys.trial, "somebody's")
    worker.try_to_publish()
    assert redis_client.lrange(keys.trial, 0, -1) == [b"somebody's"]
