"""What a job used goes with its result and its event, and is summed once for each ending."""

import json
from collections.abc import Mapping

import pytest
import redis

from support.queue.consumers import MakeWorker, done, take
from whisperfleet.client import Client
from whisperfleet.contract.codes import Code
from whisperfleet.contract.events import DoneEvent
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import Keys
from whisperfleet.contract.result import Result, read_result
from whisperfleet.contract.states import State
from whisperfleet.contract.usage import FIGURES, Usage
from whisperfleet.queue import Buried, Concluded, Settled, WorkQueue

URL = "https://media.example.org/a.wav"
MEASURED = Usage(audio_seconds=61.5, speech_seconds=42.25, windows=3, device_seconds=1.5)


def sums(server: redis.Redis, keys: Keys) -> dict[str, int]:
    return {name.decode(): int(amount) for name, amount in server.hgetall(keys.usage).items()}


def of(summed: Mapping[str, int], owner: str) -> dict[str, int]:
    """Return a class and tenant's figures but for the waiting, which is the server's to say."""
    named = {name.rpartition("/")[::2]: amount for name, amount in summed.items()}
    return {
        figure: n for (whose, figure), n in named.items() if whose == owner and figure != "queue_ms"
    }


def newest_event(server: redis.Redis, keys: Keys) -> DoneEvent:
    ((_, fields),) = server.xrevrange(keys.done, count=1)
    return DoneEvent.from_fields(fields)


def test_a_result_and_its_event_tell_the_same_usage(
    worker: WorkQueue, client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    job_id = client.submit(Job(url=URL, tenant="acme"))
    claim = take(worker)
    result = Result(id="", state=State.DONE, usage=MEASURED)
    assert worker.settle(claim, Concluded(result)) is Settled.PUBLISHED

    usage = client.result(job_id).usage
    waited = round(claim.claimed_at - claim.enqueued_at, 3)
    assert usage == MEASURED.model_copy(update={"attempts": 1, "queue_seconds": waited})
    assert newest_event(redis_client, keys).usage == usage
    summed = sums(redis_client, keys)
    assert of(summed, "normal/acme") == {
        "jobs": 1,
        "audio_ms": 61_500,
        "speech_ms": 42_250,
        "windows": 3,
        "device_ms": 1500,
        "attempts": 1,
    }
    assert summed.get("normal/acme/queue_ms", 0) == round(waited * 1000)
    assert {name.rpartition("/")[2] for name in summed} <= {*FIGURES, "tenants"}


def test_classes_and_tenants_are_summed_apart_and_no_ending_twice(
    worker: WorkQueue, client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    for priority, tenant in (("high", "acme"), ("normal", "acme"), ("normal", None)):
        client.submit(Job(url=URL, tenant=tenant), priority)
        claim = take(worker)
        outcome = Concluded(Result(id="", state=State.DONE, usage=MEASURED))
        assert worker.settle(claim, outcome) is Settled.PUBLISHED
        assert worker.settle(claim, outcome) is Settled.ALREADY
    summed = sums(redis_client, keys)
    for owner in ("high/acme", "normal/acme", "normal/"):
        assert of(summed, owner)["jobs"] == 1
        assert of(summed, owner)["device_ms"] == 1500
    assert summed["tenants"] == 3


def test_an_attempt_that_was_fenced_adds_nothing(
    make_worker: MakeWorker, client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    stale, fresh = make_worker(), make_worker()
    client.submit(Job(url=URL))
    before = take(stale)
    redis_client.xclaim(before.stream, keys.group, "gone", 0, [before.entry_id], idle=10**9)
    redis_client.hset(keys.job(before.job_id), "beat", 0)
    after = take(fresh)
    outcome = Concluded(Result(id="", state=State.DONE, usage=MEASURED))
    assert stale.settle(before, outcome) is Settled.FENCED
    assert sums(redis_client, keys) == {}
    assert fresh.settle(after, outcome) is Settled.PUBLISHED
    assert of(sums(redis_client, keys), "normal/")["attempts"] == 2
    assert of(sums(redis_client, keys), "normal/")["device_ms"] == 1500


def test_what_never_ran_and_what_is_buried_is_told_too(
    worker: WorkQueue, client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    waiting = client.submit(Job(url=URL))
    client.cancel(waiting)
    assert client.result(waiting).usage == Usage()
    assert of(sums(redis_client, keys), "normal/") == {"jobs": 1}
    client.submit(Job(url=URL))
    worker.settle(take(worker), Buried(Code.INTERNAL, "it broke"))
    assert newest_event(redis_client, keys).usage.attempts == 1
    assert of(sums(redis_client, keys), "normal/") == {"jobs": 2, "attempts": 1}


def test_sums_that_cannot_be_kept_keep_no_job_from_ending(
    worker: WorkQueue, client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    redis_client.set(keys.usage, "x")
    job_id = client.submit(Job(url=URL))
    claim = take(worker)
    assert worker.settle(claim, Concluded(done(claim))) is Settled.PUBLISHED
    assert client.result(job_id).state is State.DONE


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("normal//jobs", "many"),
        ("normal//jobs", str(2**63 - 1)),
        ("normal//audio_ms", "1.5"),
        ("tenants", "many"),
    ],
)
def test_a_sum_that_cannot_grow_keeps_no_job_from_ending_and_no_other_sum_from_growing(
    worker: WorkQueue,
    client: Client,
    redis_client: redis.Redis,
    keys: Keys,
    field: str,
    value: str,
) -> None:
    redis_client.hset(keys.usage, field, value)
    client.submit(Job(url=URL))
    claim = take(worker)
    result = done(claim).model_copy(update={"usage": MEASURED})
    assert worker.settle(claim, Concluded(result)) is Settled.PUBLISHED
    assert redis_client.xlen(claim.stream) == 0
    assert redis_client.hget(keys.usage, field) == value.encode()
    assert redis_client.hget(keys.usage, "normal//windows") == b"3"


def test_made_up_tenants_do_not_grow_the_sums_for_ever(
    worker: WorkQueue, client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    redis_client.hset(keys.usage, mapping={"tenants": 1999, "normal/known/jobs": 7})
    for tenant in ("known", "last", "late", "later", "last"):
        client.submit(Job(url=URL, tenant=tenant))
        claim = take(worker)
        worker.settle(claim, Concluded(done(claim)))
    summed = sums(redis_client, keys)
    assert {name: n for name, n in summed.items() if name.endswith("/jobs")} == {
        "normal/known/jobs": 8,
        "normal/last/jobs": 2,
        "normal/*/jobs": 2,
    }
    assert summed["tenants"] == 2000


def test_what_a_worker_of_0_1_0_told_can_be_read() -> None:
    event = DoneEvent.from_fields(
        {b"v": b"1.1", b"id": b"call-7", b"state": b"done", b"epoch": b"1", b"stream": b"normal"}
    )
    assert event.usage is None
    timing = {"queued": 0.1, "fetch": 0, "decode": 0, "engine": 2.5, "total": 3}
    told = {"v": "1.1", "id": "call-7", "state": "done", "timing": timing, "epoch": 1}
    result = read_result("call-7", json.dumps(told).encode())
    assert (result.state, result.usage, result.timing.waiting) == (State.DONE, None, 0)
