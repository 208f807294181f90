"""What happens to the server, and what the queue makes of it."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
import redis
from redis.exceptions import ClusterDownError, MasterDownError, TryAgainError

from support.queue.consumers import PATIENT, MakeWorker, done, take
from support.servers import (
    SERVERS,
    assert_invariants,
    free_port,
    input_streams,
    server_binary,
    wait_for,
)
from whisperfleet.client import Admin, Client
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import Keys
from whisperfleet.contract.states import State
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.errors import QueueUnavailableError
from whisperfleet.queue import Claim, Concluded, QueuePolicy, Released, Renewal, Settled, WorkQueue

JOB = Job(id="call-7", url="https://media.example.org/a.wav")


@pytest.fixture
def own_client(own_server: EmbeddedServer) -> Iterator[redis.Redis]:
    client = own_server.settings.connect()
    yield client
    client.close()


def test_scripts_come_back_after_a_script_flush(
    worker: WorkQueue, client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    def flush() -> None:
        redis_client.script_flush()

    client.submit(JOB)
    flush()
    claim = worker.claim()
    flush()
    assert worker.renew([claim]) == {claim: Renewal.OK}
    flush()
    assert worker.settle(claim, Released()) is Settled.RELEASED
    claim = take(worker)
    flush()
    assert worker.settle(claim, Concluded(done(claim))) is Settled.PUBLISHED
    assert_invariants(redis_client, keys, accepted=1)


def test_a_destroyed_group_comes_back_and_nothing_runs_twice(
    make_worker: MakeWorker, client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    first, second = make_worker(), make_worker()
    client.submit_many([JOB, Job(id="call-8", url=JOB.url)])
    held = first.claim()
    redis_client.xgroup_destroy(keys.stream("normal"), keys.group)

    assert first.renew([held]) == {held: Renewal.OK}
    other = take(second)

    assert other.job_id == "call-8"
    # The first one lives, so the group that was made anew gives nobody else its job.
    assert second.claim() is None
    assert first.renew([held]) == {held: Renewal.OK}
    for queue, claim in ((first, held), (second, other)):
        assert queue.settle(claim, Concluded(done(claim))) is Settled.PUBLISHED
    assert_invariants(redis_client, keys, accepted=2)


@pytest.mark.parametrize("how", ["finish", "release"])
def test_a_job_ends_in_order_although_its_group_was_destroyed(
    worker: WorkQueue, client: Client, redis_client: redis.Redis, keys: Keys, how: str
) -> None:
    client.submit(JOB)
    claim = worker.claim()
    redis_client.xgroup_destroy(keys.stream("normal"), keys.group)

    if how == "release":
        assert worker.settle(claim, Released()) is Settled.RELEASED
        claim = take(worker)
    assert worker.settle(claim, Concluded(done(claim))) is Settled.PUBLISHED
    assert worker.claim() is None
    assert_invariants(redis_client, keys, accepted=1)


def test_a_worker_goes_on_after_flushall(
    own_server: EmbeddedServer, own_client: redis.Redis
) -> None:
    keys = Keys("flushed")
    worker = WorkQueue(own_client, keys, "worker-1", policy=PATIENT)
    with Client(own_server.settings, "flushed") as client:
        client.submit(JOB)
        held = worker.claim()
        own_client.flushall()

        assert worker.renew([held]) == {held: Renewal.FENCED}
        assert worker.settle(held, Concluded(done(held))) is Settled.FENCED
        assert worker.settle(held, Released()) is Settled.FENCED
        assert worker.release_orphans([held]) == 0
        client.submit(JOB)
        claim = take(worker)
        assert worker.settle(claim, Concluded(done(claim))) is Settled.PUBLISHED
        assert_invariants(own_client, keys, accepted=1)


def test_a_full_server_refuses_new_jobs_and_takes_results(
    own_server: EmbeddedServer, own_client: redis.Redis
) -> None:
    keys = Keys("full")
    worker = WorkQueue(own_client, keys, "worker-1", policy=PATIENT)
    with Client(own_server.settings, "full") as client:
        client.submit_many([JOB, Job(id="call-8", url=JOB.url)])
        claim = worker.claim()
        own_client.config_set("maxmemory", "1")

        with pytest.raises(redis.OutOfMemoryError):
            client.submit(Job(url=JOB.url))
        assert worker.renew([claim]) == {claim: Renewal.OK}
        assert worker.settle(claim, Concluded(done(claim))) is Settled.PUBLISHED
        assert client.result("call-7").state is State.DONE
        claim = worker.claim()
        assert worker.settle(claim, Released()) is Settled.RELEASED
        claim = take(worker)
        assert worker.settle(claim, Concluded(done(claim))) is Settled.PUBLISHED
        assert_invariants(own_client, keys, accepted=2)


@pytest.mark.parametrize("kind", SERVERS)
def test_nothing_is_lost_by_a_power_cut(kind: str) -> None:
    keys = Keys("cut")
    with (
        EmbeddedServer(server_binary(kind), append_only=True) as server,
        Client(server.settings, "cut") as client,
    ):
        connection = server.settings.connect()
        worker = WorkQueue(connection, keys, "worker-1", policy=PATIENT)
        client.submit_many([JOB, Job(id="call-8", url=JOB.url), Job(id="call-9", url=JOB.url)])
        ended, held = worker.claim(), worker.claim()
        worker.settle(ended, Concluded(done(ended)))

        server.kill()
        with pytest.raises(redis.ConnectionError):
            worker.claim()
        server.start()

        # The signal to scale on is there although nobody has asked for anything yet.
        assert connection.xlen(keys.stream("normal")) == 2
        assert client.result("call-7").state is State.DONE
        assert worker.renew([held]) == {held: Renewal.OK}
        assert worker.settle(held, Concluded(done(held))) is Settled.PUBLISHED
        last = take(worker)
        assert worker.settle(last, Concluded(done(last))) is Settled.PUBLISHED
        assert_invariants(connection, keys, accepted=3)
        connection.close()


# Longer than a busy machine may hold up a test: silence is what the test makes of it.
OUTAGE = QueuePolicy(lease_seconds=3, beat_seconds=1.5, reclaim_seconds=0.001)


def wait_out_the_lease(client: redis.Redis, claim: Claim) -> None:
    wait_for(
        lambda: client.time()[0] > claim.claimed_at + OUTAGE.lease_seconds + 1, "the lease to lapse"
    )


def test_after_a_silence_of_everybody_nobody_takes_a_job_from_another(
    make_worker: MakeWorker, client: Client, admin: Admin, redis_client: redis.Redis, keys: Keys
) -> None:
    holder, other = make_worker(OUTAGE), make_worker(OUTAGE)
    client.submit_many([JOB, Job(id="call-8", url=JOB.url)])
    held, released = holder.claim(), holder.claim()
    holder.settle(released, Released())
    client.submit(Job(id="call-9", url=JOB.url))
    # The server was up, and nobody reached it: to it the job looks dead.
    wait_out_the_lease(redis_client, held)

    newcomer = make_worker(OUTAGE)
    others = [newcomer.claim(), other.claim()]
    assert sorted(claim.job_id for claim in others) == ["call-8", "call-9"]
    assert newcomer.claim() is None
    assert holder.renew([held]) == {held: Renewal.OK}
    for worker, claim in zip((holder, newcomer, other), (held, *others), strict=True):
        assert worker.settle(claim, Concluded(done(claim))) is Settled.PUBLISHED
    assert admin.stats().totals.get("reclaimed", 0) == 0
    assert_invariants(redis_client, keys, accepted=3)


@pytest.mark.parametrize("then_silence", [False, True])
def test_a_lease_that_lapses_while_others_are_heard_is_free_at_once(
    make_worker: MakeWorker,
    client: Client,
    redis_client: redis.Redis,
    keys: Keys,
    then_silence: bool,
) -> None:
    gone, other = make_worker(OUTAGE), make_worker(replace(OUTAGE, reclaim_seconds=600))
    client.submit(JOB)
    before = gone.claim()

    def lapses() -> bool:
        other.release_orphans([])
        return redis_client.time()[0] > before.claimed_at + OUTAGE.lease_seconds + 1

    wait_for(lapses, "the lease to lapse")

    if then_silence:
        # A fleet that slept, or an outage: who was gone before has had its lease.
        wait_for(
            lambda: redis_client.time()[0] > before.claimed_at + 2 * OUTAGE.lease_seconds + 2,
            "a silence of everybody",
        )

    after = other.claim()
    assert (after.job_id, after.deliveries) == ("call-7", 2)
    assert redis_client.hexists(keys.meta, "patient_until") == then_silence
    other.settle(after, Concluded(done(after)))
    assert_invariants(redis_client, keys, accepted=1)


def test_an_outage_longer_than_the_lease_makes_nobody_lose_a_job(
    own_server_aof: EmbeddedServer,
) -> None:
    keys = Keys("outage")
    policy = QueuePolicy(lease_seconds=4, beat_seconds=2, reclaim_seconds=0.001)
    connection = own_server_aof.settings.connect()
    holder = WorkQueue(connection, keys, "one", policy=policy)
    with Client(own_server_aof.settings, "outage") as client:
        client.submit(JOB)
        held = holder.claim()
        own_server_aof.kill()
        wait_for(lambda: time.time() > held.claimed_at + 4.2, "the lease to lapse")
        own_server_aof.start()

        # To the server the job looks dead. Its owner has two beats to say otherwise.
        newcomer = WorkQueue(connection, keys, "two", policy=policy)
        newcomer.register()
        assert newcomer.claim() is None
        assert holder.renew([held]) == {held: Renewal.OK}
        assert holder.settle(held, Concluded(done(held))) is Settled.PUBLISHED
        assert_invariants(connection, keys, accepted=1)
    connection.close()


def test_patience_ends(own_server_aof: EmbeddedServer) -> None:
    keys = Keys("patience")
    connection = own_server_aof.settings.connect()
    policy = QueuePolicy(lease_seconds=2, beat_seconds=1, reclaim_seconds=0.001)
    gone, other = (WorkQueue(connection, keys, name, policy=policy) for name in ("one", "two"))
    with Client(own_server_aof.settings, "patience") as client:
        client.submit(JOB)
        before = gone.claim()
        wait_for(lambda: time.time() > before.claimed_at + 2.2, "the lease to lapse")
        own_server_aof.restart()
        # It noticed nothing of the restart, for it was idle meanwhile; the silence tells.
        assert other.claim() is None
        began = time.monotonic()
        claim = take(other)
        assert time.monotonic() - began < 10
        assert (claim.job_id, claim.deliveries) == ("call-7", 2)
        other.settle(claim, Concluded(done(claim)))
        assert_invariants(connection, keys, accepted=1)
    connection.close()


@pytest.fixture
def own_server_aof() -> Iterator[EmbeddedServer]:
    with EmbeddedServer(append_only=True) as server:
        yield server


def finish_meanwhile(worker: WorkQueue, claim: Claim) -> tuple[threading.Thread, list[Settled]]:
    answers: list[Settled] = []
    thread = threading.Thread(
        target=lambda: answers.append(worker.settle(claim, Concluded(done(claim))))
    )
    thread.start()
    return thread, answers


def test_a_result_is_offered_until_the_server_is_back(own_server_aof: EmbeddedServer) -> None:
    keys = Keys("insist")
    connection = own_server_aof.settings.connect()
    worker = WorkQueue(connection, keys, "worker-1", policy=PATIENT)
    with Client(own_server_aof.settings, "insist") as client:
        client.submit(JOB)
        claim = worker.claim()
        own_server_aof.kill()
        thread, answers = finish_meanwhile(worker, claim)
        own_server_aof.start()
        thread.join(30)
        assert answers == [Settled.PUBLISHED]
        assert_invariants(connection, keys, accepted=1)
    connection.close()


def refusals(client: redis.Redis, code: str) -> int:
    return int(client.info("errorstats").get(f"errorstat_{code}", {"count": 0})["count"])


def test_a_result_is_offered_until_there_are_replicas_enough(
    own_server: EmbeddedServer, own_client: redis.Redis
) -> None:
    keys = Keys("insist")
    worker = WorkQueue(own_client, keys, "worker-1", policy=PATIENT)
    with Client(own_server.settings, "insist") as client:
        client.submit(JOB)
        claim = worker.claim()
        own_client.config_set("min-replicas-to-write", "1")
        thread, answers = finish_meanwhile(worker, claim)
        wait_for(lambda: refusals(own_client, "NOREPLICAS") >= 2, "the result to be refused twice")
        own_client.config_set("min-replicas-to-write", "0")
        thread.join(30)
        assert answers == [Settled.PUBLISHED]
        assert_invariants(own_client, keys, accepted=1)


def test_a_result_is_offered_until_a_failover_is_over(
    own_server: EmbeddedServer, own_client: redis.Redis
) -> None:
    keys = Keys("insist")
    worker = WorkQueue(own_client, keys, "worker-1", policy=PATIENT)
    with Client(own_server.settings, "insist") as client:
        client.submit(JOB)
        claim = worker.claim()
        own_client.replicaof("127.0.0.1", free_port())
        thread, answers = finish_meanwhile(worker, claim)
        wait_for(lambda: refusals(own_client, "READONLY") >= 2, "the result to be refused twice")
        own_client.replicaof("NO", "ONE")
        thread.join(30)
        assert answers == [Settled.PUBLISHED]
        assert_invariants(own_client, keys, accepted=1)


@pytest.mark.parametrize(
    "refusal",
    [
        MasterDownError("Link with MASTER is down and replica-serve-stale-data is set to 'no'."),
        ClusterDownError("CLUSTERDOWN The cluster is down"),
        TryAgainError("Multiple keys request during rehashing of slot"),
        redis.ResponseError("MISCONF Errors writing to the AOF file: No space left on device"),
        redis.ResponseError("BUSY Redis is busy running a script."),
    ],
    ids=lambda refusal: str(refusal).partition(" ")[0],
)
def test_a_result_is_offered_again_where_the_server_cannot_write_now(
    worker: WorkQueue,
    client: Client,
    redis_client: redis.Redis,
    keys: Keys,
    monkeypatch: pytest.MonkeyPatch,
    refusal: redis.RedisError,
) -> None:
    client.submit(JOB)
    claim = worker.claim()
    ask, refusals = redis_client.evalsha, [refusal]

    def evalsha(*call: object) -> object:
        if refusals:
            raise refusals.pop()
        return ask(*call)

    monkeypatch.setattr(redis_client, "evalsha", evalsha)
    assert worker.settle(claim, Concluded(done(claim))) is Settled.PUBLISHED
    assert_invariants(redis_client, keys, accepted=1)


def test_a_result_is_not_offered_for_ever(own_server_aof: EmbeddedServer) -> None:
    connection = own_server_aof.settings.connect()
    policy = QueuePolicy(settle_seconds=0.6)
    worker = WorkQueue(connection, Keys("insist"), "worker-1", policy=policy)
    with Client(own_server_aof.settings, "insist") as client:
        client.submit(JOB)
        claim = worker.claim()
        own_server_aof.kill()
        with pytest.raises(redis.ConnectionError):
            worker.settle(claim, Concluded(done(claim)))
    connection.close()


def test_a_queue_of_another_major_version_is_refused(
    worker: WorkQueue, redis_client: redis.Redis, keys: Keys
) -> None:
    worker.register()
    redis_client.hset(keys.meta, "protocol", "1.9")
    worker.register()
    redis_client.hset(keys.meta, "protocol", "2.0")
    with pytest.raises(QueueUnavailableError, match=r"speaks protocol 2\.x"):
        worker.register()


def test_a_queue_of_another_owner_is_refused(make_worker: MakeWorker) -> None:
    make_worker().register()
    make_worker().register("cluster-a/team/calls")
    make_worker().register("cluster-a/team/calls")
    make_worker().register()
    with pytest.raises(QueueUnavailableError, match="belongs to cluster-a/team/calls"):
        make_worker().register("cluster-b/team/calls")


def test_a_meta_key_of_another_type_is_refused(
    worker: WorkQueue, redis_client: redis.Redis, keys: Keys
) -> None:
    redis_client.set(keys.meta, "x")
    with pytest.raises(QueueUnavailableError, match="holds a string"):
        worker.register()


def test_settings_that_lose_jobs_are_named(own_client: redis.Redis) -> None:
    worker = WorkQueue(own_client, Keys("q"), "worker-1")
    (no_aof,) = worker.register()
    assert "appendonly" in no_aof
    own_client.config_set("maxmemory-policy", "allkeys-lru")
    assert any("maxmemory-policy is allkeys-lru" in warning for warning in worker.register())
    own_client.config_set("maxmemory-policy", "noeviction")
    own_client.config_set("appendonly", "yes")
    # A server that writes its first file cannot be stopped in order.
    wait_for(lambda: not own_client.info()["aof_rewrite_in_progress"], "the first append-only file")
    assert worker.register() == []


def test_a_server_that_is_not_there_is_named(
    own_server: EmbeddedServer, own_client: redis.Redis
) -> None:
    own_server.kill()
    with pytest.raises(QueueUnavailableError, match="does not answer"):
        WorkQueue(own_client, Keys("q"), "worker-1").register()


def test_every_input_stream_has_its_group_from_the_first_claim(
    worker: WorkQueue, redis_client: redis.Redis, keys: Keys
) -> None:
    worker.claim()
    for stream in input_streams(keys):
        (group,) = redis_client.xinfo_groups(stream)
        assert (group["name"], group["last-delivered-id"]) == (b"workers", b"0-0")
