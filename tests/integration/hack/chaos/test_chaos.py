"""A short run under fire; ``make chaos`` is the long one."""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from hack.chaos.fleet import Fleet, Leases
from hack.chaos.invariants import check_books
from hack.chaos.plan import Kind, Mix, make_plan
from hack.chaos.run import Settings, run_chaos
from support.queue.consumers import PATIENT, done, take
from support.servers import server_binary, wait_for
from whisperfleet.client import Client
from whisperfleet.contract.codes import Code
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import Keys
from whisperfleet.contract.states import State
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.queue import Buried, Concluded, WorkQueue, settlement
from whisperfleet.queue.scripts import Script

JOB = Job(id="job-0", url="https://media.example.org/a.wav")


# Each worker that dies has a successor, which claims once its leases are renewed: seconds, where
# others use the machine too.
@pytest.mark.timeout(300)
def test_nothing_is_lost_and_nothing_is_visible_twice_under_fire() -> None:
    server_binary("valkey")
    settings = Settings(jobs=150, seed=5, lease_seconds=1.0, faults=10, gap_seconds=0.6)

    outcome = run_chaos(settings)

    assert outcome.violations == []
    assert outcome.books.states[State.DEAD] == outcome.kinds[Kind.POISON] > 0
    assert outcome.reclaimed > 0
    assert outcome.faults.total() == settings.faults


def test_a_seed_makes_the_same_plan_again() -> None:
    plan = make_plan(500, 7, Mix.FAULTY)

    assert plan == make_plan(500, 7, Mix.FAULTY)
    assert plan.steps != make_plan(500, 8, Mix.FAULTY).steps
    assert len(plan.kinds) == 500
    assert set(plan.kinds.values()) == set(Kind)
    assert plan.duplicates > 25


@pytest.fixture
def redis_client(any_server: EmbeddedServer) -> Iterator[redis.Redis]:
    client = any_server.settings.connect()
    yield client
    client.close()


@pytest.fixture
def worker(any_server: EmbeddedServer, redis_client: redis.Redis, keys: Keys) -> WorkQueue:
    with Client(any_server.settings, keys.queue_id) as producer:
        producer.submit(JOB)
    return WorkQueue(redis_client, keys, "worker-1", policy=PATIENT)


def test_books_that_are_right_have_no_violations(
    worker: WorkQueue, redis_client: redis.Redis, keys: Keys
) -> None:
    claim = take(worker)
    worker.settle(claim, Concluded(done(claim)))

    books = check_books(redis_client, keys, {"job-0": Kind.HEALTHY})
    assert books.violations == ()
    assert books.states == {State.DONE: 1}


def test_a_job_that_did_not_end_is_lost(
    worker: WorkQueue, redis_client: redis.Redis, keys: Keys
) -> None:
    take(worker)

    violations = check_books(redis_client, keys, {"job-0": Kind.HEALTHY}).violations
    assert [line.partition(":")[0] for line in violations] == ["LOST", "LEFT", "LEFT", "LEFT"]


def test_a_healthy_job_among_the_dead_letters_is_told(
    worker: WorkQueue, redis_client: redis.Redis, keys: Keys
) -> None:
    worker.settle(take(worker), Buried(Code.DELIVERIES_EXHAUSTED, "begun too often"))

    (violation,) = check_books(redis_client, keys, {"job-0": Kind.HEALTHY}).violations
    assert violation.startswith("WRONG END: job-0 (healthy) ended as dead")


def _repeat_the_event(client: redis.Redis, keys: Keys) -> None:
    ((_, fields),) = client.xrange(keys.done)
    client.xadd(keys.done, fields)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_repeat_the_event, "VISIBLE TWICE"),
        (lambda client, keys: client.hincrby(keys.job("job-0"), "epoch", 1), "EPOCHS"),
        (lambda client, keys: client.delete(keys.result("job-0")), "NO RESULT"),
        (lambda client, keys: client.persist(keys.job("job-0")), "FOR EVER"),
        (lambda client, keys: client.xadd(keys.done, {"id": "x", "state": "done"}), "UNKNOWN"),
        (lambda client, keys: client.hincrby(keys.counters, "done", 1), "COUNTERS"),
        (lambda client, keys: client.hincrby(keys.usage, "normal//attempts", 1), "USAGE"),
        (lambda client, keys: client.hincrby(keys.usage, "high/acme/jobs", 1), "USAGE"),
        (lambda client, keys: client.delete(keys.usage), "USAGE"),
    ],
)
def test_books_that_are_spoilt_are_told(
    worker: WorkQueue,
    redis_client: redis.Redis,
    keys: Keys,
    spoil: Callable[[redis.Redis, Keys], None],
    told: str,
) -> None:
    claim = take(worker)
    worker.settle(claim, Concluded(done(claim)))
    spoil(redis_client, keys)

    violations = check_books(redis_client, keys, {"job-0": Kind.HEALTHY}).violations
    assert told in {line.partition(":")[0] for line in violations}


def test_a_job_that_the_script_sums_twice_is_told(
    worker: WorkQueue, redis_client: redis.Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script("finish")
    summed_twice, sums = re.subn(r"(?m)^  (add_usage\(.+\))$", r"  \1 \1", script.source)
    assert sums == 1
    monkeypatch.setattr(script, "source", summed_twice)
    monkeypatch.setattr(settlement, "_FINISH", script)
    claim = take(worker)
    worker.settle(claim, Concluded(done(claim)))

    violations = check_books(redis_client, keys, {"job-0": Kind.HEALTHY}).violations
    assert violations[:2] == (
        "USAGE: 2 is summed as normal//attempts and the results come to 1",
        "USAGE: 2 is summed as normal//jobs and the results come to 1",
    )
    assert {line.partition(":")[0] for line in violations} == {"USAGE"}


def test_a_command_beside_takes_every_second_place(tmp_path: Path) -> None:
    tell = ("import sys, time; print(sys.argv[1:], flush=True); time.sleep(600)",)
    beside = (sys.executable, "-c", *tell)
    with Fleet(3, "redis://127.0.0.1:1/0", "q", Leases(1.0), 4, tmp_path, beside) as fleet:
        theirs = tmp_path / "worker-2.log"
        wait_for(lambda: "--in-flight" in theirs.read_text(), "the other command to start")
        assert len(fleet.up()) == 3
    commands = {log.name: log.read_text() for log in tmp_path.iterdir()}
    assert "'redis://127.0.0.1:1/0', '--queue', 'q'" in commands["worker-2.log"]
    assert not any("--in-flight" in commands[f"worker-{n}.log"] for n in (1, 3))
