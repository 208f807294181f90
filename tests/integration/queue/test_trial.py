"""What a worker asks with each renewal shows a missing right, and does no more."""

from dataclasses import replace

import pytest
import redis

from support.queue.consumers import PATIENT, MakeWorker, take
from whisperfleet.client import Client
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import Keys
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.queue import WorkQueue
from whisperfleet.queue.access import WORKER_COMMANDS, worker_rules
from whisperfleet.queue.faults import Outlook, outlook

# Those of upkeep, of the cache and of the start are met by whoever does that.
NOT_ASKED = {
    *("eval", "get", "info", "persist", "ping", "xgroup|create", "xgroup|delconsumer"),
    *("xinfo|consumers", "xread", "xtrim"),
}
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

    other.release_orphans([])
    pending = redis_client.xpending_range(keys.stream("normal"), keys.group, "-", "+", 10)
    assert [(entry["message_id"], entry["consumer"]) for entry in pending] == owners


def test_a_key_that_somebody_put_in_its_place_stays_as_it_is(
    worker: WorkQueue, redis_client: redis.Redis, keys: Keys
) -> None:
    redis_client.rpush(keys.trial, "somebody's")
    worker.try_to_publish()
    assert redis_client.lrange(keys.trial, 0, -1) == [b"somebody's"]


@pytest.mark.parametrize("key", ["done", "dead_letters", "counters", "running"])
def test_a_key_that_holds_something_else_is_told_before_a_job_needs_it(
    worker: WorkQueue, redis_client: redis.Redis, keys: Keys, key: str
) -> None:
    redis_client.set(getattr(keys, key), "somebody's")
    with pytest.raises(redis.ResponseError, match="move or delete it"):
        worker.try_to_publish()


def test_a_right_that_is_missing_is_told_within_a_beat_and_leaves_no_trace(
    server: EmbeddedServer, redis_client: redis.Redis, keys: Keys
) -> None:
    name = keys.queue_id
    redis_client.execute_command("ACL SETUSER", name, "on", ">secret", *worker_rules(keys))
    account = replace(server.settings, username=name, password="secret").connect()
    idle = WorkQueue(account, keys, "idle", policy=PATIENT)
    idle.claim()

    def refusals() -> list[redis.RedisError]:
        errors = []
        for ask in (idle.claim, lambda: idle.release_orphans([]), idle.try_to_publish):
            try:
                ask()
            except redis.RedisError as error:
                errors.append(error)
        return errors

    assert refusals() == []
    for command in sorted(set(WORKER_COMMANDS) - NOT_ASKED):
        redis_client.execute_command("ACL SETUSER", name, f"-{command}")
        missed = refusals()
        assert missed, f"who may not {command} is not told so"
        assert {outlook(error) for error in missed} == {Outlook.REFUSED}, missed
        redis_client.execute_command("ACL SETUSER", name, f"+{command}")
        assert refusals() == [], f"something was left by who may not {command}"
        assert not redis_client.exists(keys.trial), command
    account.close()
    redis_client.execute_command("ACL DELUSER", name)
