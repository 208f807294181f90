"""The least rights of each party are enough, and none of them is one too many."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import pytest
import redis
from redis.exceptions import NoPermissionError

from support.queue.consumers import BRIEF, PATIENT, done, take, work_through_everything
from support.servers import assert_invariants
from whisperfleet.client import Admin, Cancelled, Client
from whisperfleet.contract.codes import Code
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import DEFAULT_PRIORITIES, Keys
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.errors import QueueUnavailableError
from whisperfleet.queue import Buried, Concluded, RedisSettings, Released, Settled, WorkQueue
from whisperfleet.queue.access import (
    WORKER_COMMANDS,
    producer_rules,
    scaler_rules,
    tenant_rules,
    worker_rules,
)

JOB = Job(id="call-7", url="https://media.example.org/a.wav")
PASSWORD = "a p@ss:w/rd"


def settings_for(server: EmbeddedServer, name: str) -> RedisSettings:
    return RedisSettings(server.url, username=name, password=PASSWORD)


@pytest.fixture
def user(redis_client: redis.Redis, queue_id: str) -> Iterator[str]:
    name = f"user-{queue_id}"
    yield name
    redis_client.acl_deluser(name)


def allow(admin: redis.Redis, name: str, rules: list[str]) -> None:
    admin.execute_command("ACL", "SETUSER", name, "reset", "on", f">{PASSWORD}", *rules)


def test_a_worker_does_all_its_work_with_the_least_rights(
    server: EmbeddedServer, redis_client: redis.Redis, user: str, queue_id: str
) -> None:
    allow(redis_client, user, worker_rules(Keys(queue_id)))
    work_through_everything(settings_for(server, user), server.settings, queue_id)


@pytest.mark.parametrize("command", WORKER_COMMANDS)
def test_a_worker_needs_each_of_its_rights(
    server: EmbeddedServer, redis_client: redis.Redis, user: str, queue_id: str, command: str
) -> None:
    rules = [rule for rule in worker_rules(Keys(queue_id)) if rule != f"+{command}"]
    allow(redis_client, user, rules)
    if command == "eval":
        redis_client.script_flush()
    with pytest.raises((redis.ResponseError, QueueUnavailableError), match=r"permission|can't run"):
        work_through_everything(settings_for(server, user), server.settings, queue_id)


def test_a_worker_that_may_not_look_for_deleted_entries_leaves_them(
    server: EmbeddedServer, redis_client: redis.Redis, user: str, queue_id: str, keys: Keys
) -> None:
    rules = worker_rules(keys)
    allow(redis_client, user, [rule for rule in rules if rule != "+hscan"])
    work_through_everything(settings_for(server, user), server.settings, queue_id)
    redis_client.hset(keys.running, "normal/1-1", "call-7")
    with settings_for(server, user).connect() as connection:
        worker = WorkQueue(connection, keys, "worker-1", policy=BRIEF)
        worker.prune()
        assert redis_client.hlen(keys.running) == 1
        allow(redis_client, user, rules)
        worker.prune()
        assert redis_client.hlen(keys.running) == 0


ENDING = ["hdel", "hincrby", "hmget", "hset", "pexpire", "set", "xack", "xadd", "xdel"]


@pytest.mark.parametrize("command", ENDING)
def test_a_right_that_comes_back_ends_a_job_as_if_it_had_never_gone(
    server: EmbeddedServer, redis_client: redis.Redis, user: str, queue_id: str, command: str
) -> None:
    keys = Keys(queue_id)
    allow(redis_client, user, worker_rules(keys))
    connection = settings_for(server, user).connect()
    worker = WorkQueue(connection, keys, "worker-1", policy=replace(PATIENT, settle_seconds=0.01))
    with Client(server.settings, queue_id) as client:
        client.submit_many([Job(id=name, url=JOB.url) for name in ("done", "dead", "cancelled")])
        claims = [take(worker), take(worker), take(worker)]
        worker.settle(claims[2], Released())
        with Client(settings_for(server, user), queue_id) as clerk:
            endings: list[Callable[[], object]] = [
                partial(worker.settle, claims[0], Concluded(done(claims[0]))),
                partial(worker.settle, claims[1], Buried(Code.INTERNAL, "it broke")),
                partial(clerk.cancel, claims[2].job_id),
            ]
            redis_client.execute_command("ACL SETUSER", user, f"-{command}")
            for end in endings:
                with pytest.raises(redis.ResponseError, match=r"permission|can't run"):
                    end()
            redis_client.execute_command("ACL SETUSER", user, f"+{command}")
            answers = [end() for end in endings]
    connection.close()
    assert answers == [Settled.PUBLISHED, Settled.PUBLISHED, Cancelled.CANCELLED]
    assert_invariants(redis_client, keys, accepted=3)


def test_a_worker_reaches_no_other_queue(
    server: EmbeddedServer, redis_client: redis.Redis, user: str, queue_id: str
) -> None:
    allow(redis_client, user, worker_rules(Keys(queue_id)))
    connection = settings_for(server, user).connect()
    with pytest.raises(NoPermissionError):
        WorkQueue(connection, Keys(f"{queue_id}.other"), "worker-1", policy=BRIEF).claim()
    connection.close()


def test_a_producer_can_send_and_nothing_else(
    server: EmbeddedServer, redis_client: redis.Redis, user: str, queue_id: str, keys: Keys
) -> None:
    allow(redis_client, user, producer_rules(keys, "normal", "acme"))
    with Client(settings_for(server, user), queue_id, tenant="acme", own_stream=True) as producer:
        job_id = producer.submit(JOB)
        assert job_id == "call-7"
        with pytest.raises(NoPermissionError):
            producer.submit(JOB, priority="high")
        with pytest.raises(NoPermissionError):
            producer.result(job_id)
    assert redis_client.xlen(keys.stream("normal", "acme")) == 1


def test_a_tenant_can_send_to_its_own_streams_and_nothing_else(
    server: EmbeddedServer, redis_client: redis.Redis, user: str, keys: Keys
) -> None:
    streams = keys.streams(DEFAULT_PRIORITIES, ["acme", "globex"])
    allow(redis_client, user, tenant_rules(streams, "acme"))
    connection = settings_for(server, user).connect()
    for stream in streams:
        if stream.tenant == "acme":
            connection.xadd(stream.key, {"url": JOB.url})
        else:
            with pytest.raises(NoPermissionError):
                connection.xadd(stream.key, {"url": JOB.url})
    with pytest.raises(NoPermissionError):
        connection.xlen(keys.stream("high", "acme"))
    connection.close()


def test_nobody_gets_the_rights_of_a_tenant_without_streams(keys: Keys) -> None:
    with pytest.raises(ValueError, match="'acme' has no stream of its own"):
        tenant_rules(keys.streams(DEFAULT_PRIORITIES, ["globex"]), "acme")


def test_the_scaler_reads_lengths_and_nothing_else(
    server: EmbeddedServer, redis_client: redis.Redis, user: str, keys: Keys
) -> None:
    allow(redis_client, user, scaler_rules(keys))
    redis_client.xadd(keys.stream("normal"), {"url": JOB.url})
    connection = settings_for(server, user).connect()
    assert connection.xlen(keys.stream("normal")) == 1
    with pytest.raises(NoPermissionError):
        connection.xrange(keys.stream("normal"))
    connection.close()


def test_an_operator_needs_only_the_queues_keys(
    server: EmbeddedServer, redis_client: redis.Redis, user: str, queue_id: str, keys: Keys
) -> None:
    allow(redis_client, user, [f"~{keys.prefix}*", "+@all", "-@admin"])
    settings = settings_for(server, user)
    with Client(settings, queue_id) as operator, Admin(settings, queue_id) as admin:
        job_id = operator.submit(Job(url=JOB.url))
        operator.submit(JOB)
        assert operator.cancel(job_id) is Cancelled.CANCELLED
        assert operator.cancel("unknown") is Cancelled.NOTED
        assert admin.purge() == 1
        assert admin.stats().streams[1].length == 0
