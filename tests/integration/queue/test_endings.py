"""Ending a job: published once whatever is repeated, fenced when it is another's, handed back."""

import time
from pathlib import Path

import pytest
import redis

from support.queue.consumers import BRIEF, PATIENT, MakeWorker, done, take
from support.servers import assert_invariants, wait_for
from whisperfleet.client import Admin, Client
from whisperfleet.contract.codes import Code
from whisperfleet.contract.events import DoneEvent
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import Keys
from whisperfleet.contract.result import Failure, Result
from whisperfleet.contract.states import TERMINAL, State
from whisperfleet.errors import TransientError
from whisperfleet.queue import (
    Buried,
    Concluded,
    QueuePolicy,
    Released,
    Renewal,
    Retried,
    Settled,
    WorkQueue,
)
from whisperfleet.queue.outcomes import SUSPECT

JOB = Job(id="call-7", url="https://media.example.org/a.wav?token=secret", tenant="acme")
BUSY = TransientError(Code.FETCH_FAILED, "the server answered 503")


@pytest.mark.parametrize("state", sorted(TERMINAL - {State.DEAD}))
def test_a_result_is_published_with_its_event(
    worker: WorkQueue, client: Client, redis_client: redis.Redis, keys: Keys, state: State
) -> None:
    client.submit(JOB)
    claim = worker.claim()
    error = None if state is State.DONE else Failure(code=Code.NOT_AUDIO, message="send audio")

    assert (
        worker.settle(claim, Concluded(Result(id="", state=state, error=error)))
        is Settled.PUBLISHED
    )

    result = client.result("call-7")
    assert (result.id, result.state, result.epoch) == ("call-7", state, 1)
    assert result.tenant == "acme"
    assert result.finished_at is not None
    ((_, fields),) = redis_client.xrange(keys.done)
    event = DoneEvent.from_fields(fields)
    assert (event.id, event.state, event.epoch) == ("call-7", state, 1)
    assert event.code == (None if error is None else Code.NOT_AUDIO)
    assert b"secret" not in b"".join(fields.values())
    assert_invariants(redis_client, keys, accepted=1)


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.DEAD])
def test_a_job_that_has_not_ended_is_not_published(
    worker: WorkQueue, client: Client, state: State
) -> None:
    client.submit(JOB)
    with pytest.raises(ValueError, match=state):
        worker.settle(worker.claim(), Concluded(Result(id="", state=state)))
    assert client.result("call-7") is None


def test_a_repeated_finish_is_told_so_and_changes_nothing(
    worker: WorkQueue, client: Client, admin: Admin, redis_client: redis.Redis, keys: Keys
) -> None:
    client.submit(JOB)
    claim = worker.claim()
    worker.settle(claim, Concluded(done(claim)))
    published = client.result("call-7")

    assert worker.settle(claim, Concluded(done(claim))) is Settled.ALREADY
    assert worker.settle(claim, Buried(Code.INTERNAL, "late")) is Settled.ALREADY
    assert worker.settle(claim, Released()) is Settled.FENCED
    assert worker.renew([claim]) == {claim: Renewal.FENCED}

    assert client.result("call-7") == published
    assert list(admin.dead_letters()) == []
    assert_invariants(redis_client, keys, accepted=1)


def test_a_worker_that_lost_its_lease_can_change_nothing(
    make_worker: MakeWorker, client: Client, admin: Admin, redis_client: redis.Redis, keys: Keys
) -> None:
    stale, fresh = make_worker(BRIEF), make_worker(BRIEF)
    client.submit(JOB)
    before = stale.claim()
    after = take(fresh)
    assert (after.job_id, after.epoch, after.deliveries) == ("call-7", 2, 2)

    assert stale.renew([before]) == {before: Renewal.FENCED}
    assert stale.settle(before, Concluded(done(before))) is Settled.FENCED
    assert stale.settle(before, Buried(Code.INTERNAL, "late")) is Settled.FENCED
    assert stale.settle(before, Released()) is Settled.FENCED
    assert stale.settle(before, Retried(BUSY, 0)) is Settled.FENCED
    assert client.result("call-7") is None
    assert redis_client.xlen(keys.done) == 0
    assert (
        redis_client.xpending_range(after.stream, keys.group, "-", "+", 9)[0]["consumer"]
        == b"worker-2"
    )

    assert fresh.settle(after, Concluded(done(after))) is Settled.PUBLISHED
    assert stale.settle(before, Concluded(done(before))) is Settled.FENCED
    assert admin.stats().totals["reclaimed"] == 1
    assert_invariants(redis_client, keys, accepted=1)


def test_a_lease_that_is_renewed_is_never_reclaimed(
    make_worker: MakeWorker, client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    policy = QueuePolicy(lease_seconds=0.5, beat_seconds=0.01, reclaim_seconds=0.001)
    holder, other = make_worker(policy), make_worker(policy)
    client.submit(JOB)
    claim = holder.claim()
    ends = time.monotonic() + 5 * policy.lease_seconds

    while time.monotonic() < ends:
        # A machine that stood still for a lease proves nothing about the queue.
        began = time.monotonic()
        verdict, stolen = holder.renew([claim]), other.claim()
        if time.monotonic() - began > policy.lease_seconds / 2:
            pytest.skip("this machine is too slow for leases of half a second")
        assert verdict == {claim: Renewal.OK}
        assert stolen is None

    (pending,) = redis_client.xpending_range(claim.stream, keys.group, "-", "+", 9)
    assert pending["times_delivered"] == 1
    assert holder.settle(claim, Concluded(done(claim))) is Settled.PUBLISHED
    assert_invariants(redis_client, keys, accepted=1)


def test_a_released_job_is_another_workers_at_once(
    make_worker: MakeWorker, client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    idle = make_worker(QueuePolicy(reclaim_seconds=60))
    assert idle.claim() is None
    drained = make_worker()
    client.submit(JOB)
    before = drained.claim()

    assert drained.settle(before, Released()) is Settled.RELEASED
    assert client.status("call-7").state is State.QUEUED
    began = time.monotonic()
    # The first wait hears of the entry, the second of the wakeup.
    claims = (idle.wait(9) or idle.claim() for _ in range(3))
    after = next(claim for claim in claims if claim)

    assert time.monotonic() - began < 7
    assert (after.deliveries, after.epoch, after.releases) == (1, 2, 1)
    assert drained.settle(before, Concluded(done(before))) is Settled.FENCED
    assert idle.settle(after, Concluded(done(after))) is Settled.PUBLISHED
    assert_invariants(redis_client, keys, accepted=1)


def test_a_retry_waits_for_its_delay(
    make_worker: MakeWorker, client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    worker = make_worker(PATIENT)
    client.submit(JOB)
    before = worker.claim()
    began = time.monotonic()

    assert worker.settle(before, Retried(BUSY, delay_seconds=0.3)) is Settled.RELEASED
    after = take(worker)

    assert time.monotonic() - began >= 0.29
    assert (after.deliveries, after.retries, after.releases) == (1, 1, 0)
    assert "fetch_failed" in client.status("call-7").history
    worker.settle(after, Concluded(done(after)))
    assert_invariants(redis_client, keys, accepted=1)


@pytest.mark.parametrize(
    ("way", "code"),
    [("release", Code.RELEASES_EXHAUSTED), ("retry", Code.RETRIES_EXHAUSTED)],
)
def test_nothing_is_handed_back_for_ever(
    make_worker: MakeWorker,
    client: Client,
    admin: Admin,
    redis_client: redis.Redis,
    keys: Keys,
    way: str,
    code: Code,
) -> None:
    worker = make_worker(QueuePolicy(reclaim_seconds=0.001, max_releases=3, max_retries=3))
    client.submit(JOB)
    outcomes = []
    for _ in range(4):
        claim = take(worker)
        outcomes.append(
            worker.settle(claim, Released())
            if way == "release"
            else worker.settle(claim, Retried(BUSY, 0))
        )

    assert outcomes == [Settled.RELEASED] * 3 + [Settled.EXHAUSTED]
    assert worker.claim() is None
    ((_, letter),) = admin.dead_letters()
    assert (letter.id, letter.code, letter.deliveries) == ("call-7", code, 1)
    assert letter.history.count("\n") == 3
    assert client.result("call-7").error.code is code
    assert_invariants(redis_client, keys, accepted=1)


def test_a_job_that_brings_down_its_workers_is_suspected_and_then_buried(
    make_worker: MakeWorker, client: Client, admin: Admin, redis_client: redis.Redis, keys: Keys
) -> None:
    policy = QueuePolicy(
        lease_seconds=0.05,
        beat_seconds=0.01,
        reclaim_seconds=0.001,
        max_deliveries=4,
        suspect_deliveries=3,
    )
    client.submit(JOB)
    seen = []
    # Workers that are never heard of again.
    for _ in range(4):
        claim = take(make_worker(policy))
        seen.append((claim.deliveries, claim.epoch, claim.suspect))

    last = make_worker(policy)
    wait_for(lambda: last.claim() is None and client.result("call-7"), "the job to be buried")

    assert seen == [(1, 1, False), (2, 2, False), (3, 3, True), (4, 4, True)]
    ((_, letter),) = admin.dead_letters()
    assert letter.code is Code.DELIVERIES_EXHAUSTED
    assert letter.deliveries == client.status("call-7").deliveries == 4
    assert "begun 4 times" in letter.message
    assert letter.fields[b"url"] == JOB.url.encode()
    for number in range(1, 5):
        assert f"worker-{number}" in letter.history
    assert client.result("call-7").state is State.DEAD
    assert_invariants(redis_client, keys, accepted=1)


def test_a_job_that_is_there_whenever_a_worker_breaks_is_suspected_and_then_buried(
    make_worker: MakeWorker, client: Client, admin: Admin, redis_client: redis.Redis, keys: Keys
) -> None:
    worker = make_worker(QueuePolicy(max_deliveries=3, suspect_deliveries=2))
    client.submit(JOB)
    for deliveries in (1, 2, 3):
        claim = take(worker)
        assert (claim.deliveries, claim.suspect) == (deliveries, deliveries >= 2)
        assert worker.settle(claim, SUSPECT) is Settled.RELEASED
        assert worker.settle(claim, SUSPECT) is Settled.FENCED

    assert worker.claim() is None
    result = client.result("call-7")
    assert (result.state, result.error.code) == (State.DEAD, Code.DELIVERIES_EXHAUSTED)
    ((_, letter),) = admin.dead_letters()
    assert letter.history.count("was handed back by a worker that broke") == 3
    assert_invariants(redis_client, keys, accepted=1)


def test_handing_back_does_not_use_up_the_delivery_budget(
    make_worker: MakeWorker, client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    worker = make_worker(QueuePolicy(reclaim_seconds=0.001, max_deliveries=2))
    client.submit(JOB)
    for _ in range(5):
        claim = take(worker)
        assert claim.deliveries == 1
        worker.settle(claim, Released())
    claim = take(worker)
    worker.settle(claim, Concluded(done(claim)))
    assert_invariants(redis_client, keys, accepted=1)


def test_an_orphan_whose_reply_was_lost_comes_back(
    make_worker: MakeWorker, client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    worker = make_worker(QueuePolicy(beat_seconds=0.02, reclaim_seconds=0.001))
    ids = client.submit_many([JOB, Job(url=JOB.url), Job(url=JOB.url)])
    held, *lost = [worker.claim() for _ in ids]

    found: list[int] = []
    # Each of them is left alone until it is older than the time between renewals.
    wait_for(
        lambda: found.append(worker.release_orphans([held])) or sum(found) == 2, "both to be found"
    )

    assert worker.release_orphans([held]) == 0
    again = [take(worker), take(worker)]
    assert {claim.job_id for claim in again} == {claim.job_id for claim in lost}
    assert {claim.deliveries for claim in again} == {1}
    for claim in (held, *again):
        assert worker.settle(claim, Concluded(done(claim))) is Settled.PUBLISHED
    for claim in lost:
        assert worker.settle(claim, Concluded(done(claim))) is Settled.FENCED
    assert_invariants(redis_client, keys, accepted=3)


def test_a_job_that_no_worker_can_end_is_not_handed_back_for_ever(
    make_worker: MakeWorker, client: Client, admin: Admin, redis_client: redis.Redis, keys: Keys
) -> None:
    policy = QueuePolicy(beat_seconds=0.02, reclaim_seconds=0.001, max_releases=2, max_deliveries=2)
    worker = make_worker(policy)
    client.submit(JOB)
    begun = []

    def let_go() -> bool:
        if claim := worker.claim():
            begun.append(claim.deliveries)
            # Whatever it meant to say of the job, it could not.
            wait_for(lambda: worker.release_orphans([]), "the orphan to be found")
        return client.result("call-7") is not None

    wait_for(let_go, "the job to be given up")
    assert begun == [1, 1, 1, 2]
    ((_, letter),) = admin.dead_letters()
    assert (letter.code, letter.releases) == (Code.DELIVERIES_EXHAUSTED, 4)
    assert admin.stats().totals["releases"] == 4
    assert_invariants(redis_client, keys, accepted=1)


@pytest.mark.parametrize(
    "metadata",
    [rb'{"t":"\ud83d"}', b'{"a":' * 300 + b"1" + b"}" * 300, b"[" * 100_000, b'{"a":"\xff"}'],
    ids=["half an emoji", "300 deep", "100,000 deep", "no UTF-8"],
)
def test_a_job_ends_whatever_its_metadata_are(
    worker: WorkQueue, client: Client, redis_client: redis.Redis, keys: Keys, metadata: bytes
) -> None:
    for number in range(3):
        fields = {"id": f"call-{number}", "url": JOB.url, "metadata": metadata}
        redis_client.xadd(keys.stream("normal"), fields)
    assert worker.settle(worker.claim(), Buried(Code.INTERNAL, "it broke")) is Settled.PUBLISHED
    running = worker.claim()
    client.cancel("call-1")
    worker.settle(running, Released())
    client.cancel("call-2")

    assert worker.claim() is None

    ends = [client.result(f"call-{number}") for number in range(3)]
    assert [end.state for end in ends] == [State.DEAD, State.CANCELLED, State.CANCELLED]
    assert [end.metadata for end in ends] == [{}] * 3
    assert_invariants(redis_client, keys, accepted=3)


def test_a_job_ends_whatever_bytes_name_its_tenant(
    worker: WorkQueue, client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    fields = {"id": "call-7", "url": JOB.url, "tenant": b"\xff" * 100_000}
    redis_client.xadd(keys.stream("normal"), fields)
    claim = worker.claim()

    assert client.status("call-7").state is State.RUNNING
    assert worker.settle(claim, Concluded(done(claim))) is Settled.PUBLISHED

    assert client.result("call-7").tenant == "\ufffd" * 63
    assert_invariants(redis_client, keys, accepted=1)


def test_a_claim_that_may_be_on_its_way_is_no_orphan(
    make_worker: MakeWorker, client: Client
) -> None:
    worker = make_worker(QueuePolicy(beat_seconds=30, reclaim_seconds=0.001))
    client.submit(JOB)
    claim = worker.claim()

    assert worker.release_orphans([]) == 0
    assert worker.renew([claim]) == {claim: Renewal.OK}


@pytest.mark.parametrize("alive", [True, False])
def test_an_entry_that_somebody_deleted_while_it_was_pending(
    make_worker: MakeWorker, client: Client, redis_client: redis.Redis, keys: Keys, alive: bool
) -> None:
    policy = QueuePolicy(lease_seconds=0.5, beat_seconds=0.01, reclaim_seconds=0.001)
    worker, other = make_worker(policy), make_worker(policy)
    client.submit(JOB)
    claim = worker.claim()
    redis_client.xdel(claim.stream, claim.entry_id)

    if alive:
        # Its worker goes on and finishes: beating keeps the job although there is nothing to renew.
        for _ in range(50):
            assert worker.renew([claim]) == {claim: Renewal.OK}
            assert other.claim() is None
        assert worker.settle(claim, Concluded(done(claim))) is Settled.PUBLISHED
    else:
        wait_for(lambda: other.claim() is None and client.result("call-7"), "the job marked lost")
        assert client.result("call-7").error.code is Code.ENTRY_LOST
        assert worker.settle(claim, Concluded(done(claim))) is Settled.FENCED
    assert_invariants(redis_client, keys, accepted=1)


def test_a_released_job_whose_entry_was_deleted_is_marked_lost(
    worker: WorkQueue, client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    client.submit(JOB)
    claim = worker.claim()
    redis_client.xdel(claim.stream, claim.entry_id)

    assert worker.settle(claim, Released()) is Settled.LOST

    assert client.result("call-7").error.code is Code.ENTRY_LOST
    assert_invariants(redis_client, keys, accepted=1)


SECRET = "/no/such/file/of/a/customer"


def a_deep_failure(calls: int) -> Exception:
    """Return an error that was raised within so many calls; its message is a secret."""

    def fail(depth: int) -> None:
        if depth:
            # Two in turn: the standard library tells no repetition twice.
            fail_too(depth - 1)
        Path(SECRET).read_bytes()

    def fail_too(depth: int) -> None:
        fail(depth)

    try:
        fail(calls)
    except FileNotFoundError as error:
        return error
    raise AssertionError("there is such a file")


def test_a_dead_letter_tells_what_the_last_retry_met(
    worker: WorkQueue, client: Client, admin: Admin
) -> None:
    client.submit(JOB)
    claim = worker.claim()
    error = TransientError(Code.DECODER_CRASHED, "the decoder ended by SIGSEGV")
    error.__cause__ = a_deep_failure(0)
    patient = WorkQueue(worker._client, worker._keys, "worker-1", policy=QueuePolicy(max_retries=1))
    assert patient.settle(claim, Retried(error, 0)) is Settled.RELEASED
    claim = take(worker)

    assert patient.settle(claim, Retried(error, 0)) is Settled.EXHAUSTED

    ((_, letter),) = admin.dead_letters()
    assert (letter.code, letter.cause) == (Code.RETRIES_EXHAUSTED, Code.DECODER_CRASHED)
    assert "SIGSEGV" in letter.message
    assert "in a_deep_failure" in letter.traceback
    assert letter.traceback.endswith("FileNotFoundError\nTransientError")
    assert SECRET not in letter.traceback
    result = client.result("call-7")
    assert (result.error.code, result.error.cause) == (letter.code, letter.cause)


def test_a_dead_letter_carries_what_a_person_needs(
    worker: WorkQueue, client: Client, admin: Admin
) -> None:
    client.submit(JOB)
    claim = worker.claim()

    worker.settle(claim, Buried(Code.INTERNAL, "it broke", a_deep_failure(200)))

    ((_, letter),) = admin.dead_letters()
    assert (letter.id, letter.code, letter.message) == ("call-7", Code.INTERNAL, "it broke")
    assert (letter.worker, letter.tenant, letter.stream) == ("worker-1", "acme", "normal")
    assert letter.traceback.endswith("\nFileNotFoundError")
    assert len(letter.traceback) == 4000
    assert letter.cause is None
    assert Job.from_fields(letter.fields) == JOB


@pytest.mark.parametrize("key", ["done", "counters", "dead_letters", "running"])
def test_a_key_of_another_type_is_refused_before_anything_is_written(
    worker: WorkQueue, client: Client, redis_client: redis.Redis, keys: Keys, key: str
) -> None:
    client.submit(JOB)
    claim = worker.claim()
    outcome = Buried(Code.INTERNAL, "it broke") if key == "dead_letters" else Concluded(done(claim))
    redis_client.delete(getattr(keys, key))
    redis_client.set(getattr(keys, key), "x")

    with pytest.raises(redis.ResponseError, match=f"WRONGKEY the key {getattr(keys, key)} holds"):
        worker.settle(claim, outcome)

    assert client.result("call-7") is None
    assert client.status("call-7").state is State.RUNNING
    assert redis_client.xlen(claim.stream) == 1
    redis_client.delete(getattr(keys, key))
    assert worker.settle(claim, outcome) is Settled.PUBLISHED


@pytest.mark.parametrize("state", [State.DONE, State.CANCELLED])
def test_a_count_that_cannot_grow_is_met_before_anything_is_written(
    worker: WorkQueue, client: Client, redis_client: redis.Redis, keys: Keys, state: State
) -> None:
    client.submit(JOB)
    claim = worker.claim()
    redis_client.hset(keys.counters, state, "many")
    outcome = Concluded(done(claim).model_copy(update={"state": state}))

    with pytest.raises(redis.ResponseError, match="not an integer"):
        worker.settle(claim, outcome)

    assert client.result("call-7") is None
    redis_client.hdel(keys.counters, state)
    assert worker.settle(claim, outcome) is Settled.PUBLISHED


def test_a_result_overwrites_whatever_lay_under_its_key(
    worker: WorkQueue, client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    redis_client.rpush(keys.result("call-7"), "x")
    client.submit(JOB)
    claim = worker.claim()
    worker.settle(claim, Concluded(done(claim)))
    assert client.result("call-7").state is State.DONE


def test_consumers_that_are_gone_are_forgotten_once_nothing_is_pending_for_them(
    make_worker: MakeWorker, client: Client, admin: Admin, redis_client: redis.Redis, keys: Keys
) -> None:
    policy = QueuePolicy(lease_seconds=0.04, beat_seconds=0.01, reclaim_seconds=60)
    gone, holding, caretaker = (make_worker(policy) for _ in range(3))
    client.submit_many([JOB, Job(url=JOB.url)])
    finished, _ = gone.claim(), holding.claim()
    gone.settle(finished, Concluded(done(finished)))

    def consumers() -> set[bytes]:
        return {c["name"] for c in redis_client.xinfo_consumers(keys.stream("normal"), keys.group)}

    assert consumers() == {b"worker-1", b"worker-2"}
    # Some servers list a consumer in each stream that it asked, and it goes from each in its time.
    wait_for(
        lambda: caretaker.prune() == 0 and consumers() == {b"worker-2"},
        "the first to be forgotten, and the second not",
    )
    # Longer than its lease: nobody holds it.
    assert redis_client.xpending(keys.stream("normal"), keys.group)["pending"] == 1
    assert admin.stats().streams[1].running == 0


def test_cancelling_a_job_that_was_handed_back_takes_an_epoch_of_its_own(
    worker: WorkQueue, client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    client.submit(JOB)
    claim = take(worker)
    worker.settle(claim, Released())
    client.cancel("call-7")
    assert client.result("call-7").epoch == 2
    ((_, fields),) = redis_client.xrange(keys.done)
    event = DoneEvent.from_fields(fields)
    assert (event.state, event.epoch) == (State.CANCELLED, 2)
    assert worker.settle(claim, Concluded(done(claim))) is Settled.FENCED
    assert_invariants(redis_client, keys, accepted=1)
