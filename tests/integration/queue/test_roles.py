"""Each role by exactly its documented rights, on another database than 0 and over pauses.

After a pause the client's connections are made anew, and a library's own commands come: SELECT,
HELLO, PING, CLIENT SETINFO.
"""

import time
from collections.abc import Callable, Iterator

import pytest
import redis

from support.queue.consumers import URL, done, take, work_through_everything
from support.servers import wait_for
from whisperfleet.client import Admin, Cancelled, Client
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import Keys
from whisperfleet.contract.states import State
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.queue import Concluded, RedisSettings, WorkQueue
from whisperfleet.queue.access import (
    READER_COMMANDS,
    producer_rules,
    reader_rules,
    scaler_rules,
    worker_rules,
)

DATABASE = 3
PASSWORD = "a p@ss:w/rd"
# In place of half a minute.
AGE_SECONDS = 0.05
ROUNDS = 4

Grant = Callable[[list[str]], RedisSettings]


@pytest.fixture(autouse=True)
def connections_age_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whisperfleet.queue.pool._MOST_AGE_SECONDS", AGE_SECONDS)


@pytest.fixture
def everybody(server: EmbeddedServer) -> RedisSettings:
    """An account with all rights, on the same database."""
    return RedisSettings(server.url.removesuffix("/0") + f"/{DATABASE}")


@pytest.fixture
def admin(everybody: RedisSettings) -> Iterator[redis.Redis]:
    connection = everybody.connect()
    yield connection
    connection.close()


@pytest.fixture
def grant(admin: redis.Redis, everybody: RedisSettings, queue_id: str) -> Iterator[Grant]:
    """Make the account of a role; nothing may have been refused to it when the test is over."""
    name = f"role-{queue_id}"

    def make(rules: list[str]) -> RedisSettings:
        admin.execute_command("ACL", "SETUSER", name, "reset", "on", f">{PASSWORD}", *rules)
        return RedisSettings(everybody.url, username=name, password=PASSWORD)

    yield make
    refused = [entry for entry in admin.acl_log() if entry["username"] == name]
    admin.acl_deluser(name)
    assert refused == []


def rounds(admin: redis.Redis, queue_id: str) -> Iterator[int]:
    """Yield the number of each round, with a pause after it that makes connections anew."""
    seen: set[str] = set()
    for number in range(ROUNDS):
        yield number
        seen |= {c["id"] for c in admin.client_list() if c["user"] == f"role-{queue_id}"}
        until = time.monotonic() + 1.5 * AGE_SECONDS
        wait_for(lambda until=until: time.monotonic() > until, "the connections are old")
    assert len(seen) >= ROUNDS, "the connections were kept, so nothing is shown"


def test_a_producer(grant: Grant, admin: redis.Redis, queue_id: str, keys: Keys) -> None:
    account = grant(producer_rules(keys, "normal", "acme", DATABASE))
    with Client(account, queue_id, tenant="acme", own_stream=True) as producer:
        for number in rounds(admin, queue_id):
            producer.submit(Job(url=URL))
            producer.submit_many([Job(url=URL, id=f"call-{number}")] * 2)
    assert admin.xlen(keys.stream("normal", "acme")) == 3 * ROUNDS


def test_a_reader(
    grant: Grant, admin: redis.Redis, everybody: RedisSettings, queue_id: str, keys: Keys
) -> None:
    worker = WorkQueue(admin, keys, "worker-1")
    account = grant(reader_rules(keys, DATABASE))
    with Client(everybody, queue_id) as producer, Client(account, queue_id) as reader:
        for _ in rounds(admin, queue_id):
            job_id = producer.submit(Job(url=URL))
            assert reader.status(job_id).state is State.QUEUED
            with pytest.raises(TimeoutError):
                list(reader.wait([job_id], timeout_seconds=0.01))
            claim = take(worker)
            assert reader.has_been_read()
            worker.settle(claim, Concluded(done(claim)))
            assert dict(reader.wait([job_id], timeout_seconds=60)).keys() == {job_id}
            assert reader.result(job_id).state is State.DONE
            assert reader.status(job_id).state is State.DONE


@pytest.mark.parametrize("command", [c for c in READER_COMMANDS if c != "ping"])
def test_a_reader_needs_each_of_its_rights(
    admin: redis.Redis, everybody: RedisSettings, queue_id: str, keys: Keys, command: str
) -> None:
    rules = [rule for rule in reader_rules(keys, DATABASE) if rule != f"+{command}"]
    name = f"less-{queue_id}"
    admin.execute_command("ACL", "SETUSER", name, "reset", "on", f">{PASSWORD}", *rules)
    account = RedisSettings(everybody.url, username=name, password=PASSWORD)
    admin.xadd(keys.stream("normal"), {"url": URL})
    ((entry, _),) = admin.xrange(keys.stream("normal"))
    # The events are read after the first look, however long that takes.
    patience = 100 if command == "xread" else 0.01
    with Client(account, queue_id) as reader:
        # What these would tell is left untold.
        for ask in (
            lambda: list(reader.wait([f"normal-{entry.decode()}"], timeout_seconds=patience)),
            lambda: reader.status(f"normal-{entry.decode()}"),
            reader.has_been_read,
            lambda: reader._redis.get(keys.result("a")),
        ):
            try:
                ask()
            except (redis.ResponseError, TimeoutError):
                continue
    refused = {entry["object"] for entry in admin.acl_log() if entry["username"] == name}
    admin.acl_deluser(name)
    assert refused == {command}


def test_a_producer_that_waits(grant: Grant, admin: redis.Redis, queue_id: str, keys: Keys) -> None:
    worker = WorkQueue(admin, keys, "worker-1")
    more = [rule for rule in reader_rules(keys) if rule != "-@all"]
    account = grant([*producer_rules(keys, "normal", database=DATABASE), *more])
    with Client(account, queue_id) as producer:
        for _ in rounds(admin, queue_id):
            job_id = producer.submit(Job(url=URL, id="call-7"))
            if claim := worker.claim():
                worker.settle(claim, Concluded(done(claim)))
            assert dict(producer.wait([job_id], timeout_seconds=60)).keys() == {job_id}


def test_a_worker(
    grant: Grant, admin: redis.Redis, everybody: RedisSettings, queue_id: str, keys: Keys
) -> None:
    account = grant(worker_rules(keys, DATABASE))
    connection = account.connect()
    worker = WorkQueue(connection, keys, "worker-1")
    for _ in rounds(admin, queue_id):
        worker.release_orphans([])
        assert worker.claim() is None
        worker.wait(0.01)
    connection.close()
    work_through_everything(account, everybody, queue_id)


def test_a_person_on_call(grant: Grant, admin: redis.Redis, queue_id: str, keys: Keys) -> None:
    account = grant([f"~{keys.prefix}*", "+@all", "-@admin"])
    with Client(account, queue_id) as person, Admin(account, queue_id) as caretaker:
        for _ in rounds(admin, queue_id):
            job_id = person.submit(Job(url=URL))
            assert person.cancel(job_id) is Cancelled.CANCELLED
            assert caretaker.purge() == 0
            assert caretaker.stats().dead_letters == 0
            assert list(caretaker.dead_letters()) == []
            assert caretaker.drop() > 0


def test_a_scaler(grant: Grant, admin: redis.Redis, queue_id: str, keys: Keys) -> None:
    account = grant(scaler_rules(keys, DATABASE))
    connection = account.connect()
    for _ in rounds(admin, queue_id):
        assert connection.ping()
        assert connection.xlen(keys.stream("normal")) == 0
    connection.close()


@pytest.mark.parametrize("role", ["producer", "scaler"])
def test_a_library_with_its_own_habits(
    server: EmbeddedServer, admin: redis.Redis, queue_id: str, keys: Keys, role: str
) -> None:
    """As KEDA's and others' clients do: RESP3, a name of the library, a PING after a pause."""
    rules = {
        "producer": producer_rules(keys, "normal", database=DATABASE),
        "scaler": scaler_rules(keys, DATABASE),
    }
    name = f"library-{queue_id}"
    admin.execute_command("ACL", "SETUSER", name, "reset", "on", f">{PASSWORD}", *rules[role])
    stranger = redis.Redis(
        *("127.0.0.1", server.port, DATABASE),
        username=name,
        password=PASSWORD,
        protocol=3,
        health_check_interval=1,
    )
    try:
        for _ in range(2):
            if role == "producer":
                assert stranger.xadd(keys.stream("normal"), {"url": URL})
            else:
                assert stranger.xlen(keys.stream("normal")) == 0
            until = time.monotonic() + 1.1
            wait_for(lambda until=until: time.monotonic() > until, "the library asks by itself")
    finally:
        stranger.close()
        refused = {entry["object"] for entry in admin.acl_log() if entry["username"] == name}
        admin.acl_deluser(name)
    # What it does without where it is refused.
    assert refused <= {"client|setinfo", "client|maint_notifications", "client"}
