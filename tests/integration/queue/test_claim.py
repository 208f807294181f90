"""Taking a job: order, identity, duplicates, conflicts, and entries that are no jobs."""

import time
from collections import Counter
from threading import Thread

import pytest
import redis

from support.queue.consumers import MakeWorker, done, take
from support.servers import assert_invariants, wait_for
from whisperfleet.client import Admin, Cancelled, Client
from whisperfleet.contract.codes import Code
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import Keys
from whisperfleet.contract.sizes import MAX_INLINE_AUDIO_BYTES
from whisperfleet.contract.states import State
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.queue import Buried, Concluded, QueuePolicy, Renewal, Settled, WorkQueue
from whisperfleet.queue.queue import weighted_order

URL = "https://media.example.org/a.wav"


def test_one_plain_field_is_a_whole_job(
    worker: WorkQueue, redis_client: redis.Redis, keys: Keys
) -> None:
    entry = redis_client.xadd(keys.stream("normal"), {"url": URL}).decode()

    claim = worker.claim()

    assert claim.job_id == f"normal-{entry}"
    assert (claim.priority, claim.epoch, claim.deliveries, claim.suspect) == ("normal", 1, 1, False)
    assert dict(claim.fields) == {b"url": URL.encode()}
    assert claim.enqueued_at == int(entry.partition("-")[0]) / 1000
    assert 0 <= claim.claimed_at - claim.enqueued_at < 5
    assert worker.claim() is None
    assert worker.settle(claim, Concluded(done(claim))) is Settled.PUBLISHED
    assert_invariants(redis_client, keys, accepted=1)


@pytest.mark.parametrize("entry", ["7-1", "1790000000-0", "1790000000123456789-0"])
def test_an_entry_id_that_tells_no_time_makes_no_wait(
    worker: WorkQueue, redis_client: redis.Redis, keys: Keys, entry: str
) -> None:
    redis_client.xadd(keys.stream("normal"), {"url": URL}, id=entry)
    claim = worker.claim()
    assert claim.enqueued_at == claim.claimed_at


def test_inline_audio_arrives_byte_for_byte(worker: WorkQueue, client: Client) -> None:
    audio = bytes(range(256)) * (MAX_INLINE_AUDIO_BYTES // 256)
    client.submit(Job(id="inline", audio=audio))

    assert worker.claim().fields[b"audio"] == audio


def test_what_was_sent_before_the_first_worker_is_work(
    make_worker: MakeWorker, client: Client
) -> None:
    ids = client.submit_many([Job(url=URL) for _ in range(3)])

    late = make_worker()

    assert [late.claim().job_id for _ in ids] == ids


def test_a_duplicate_submission_runs_once(
    worker: WorkQueue, client: Client, admin: Admin, redis_client: redis.Redis, keys: Keys
) -> None:
    job = Job(id="call-7", url=URL, traceparent="00-aa-bb-01")
    client.submit(job)
    client.submit(job.model_copy(update={"traceparent": "00-cc-dd-01", "v": "1.4"}))
    claim = worker.claim()

    assert worker.claim() is None
    client.submit(job, priority="high")
    assert worker.claim() is None
    worker.settle(claim, Concluded(done(claim)))
    client.submit(job)
    assert worker.claim() is None

    assert admin.stats().totals["duplicates"] == 3
    assert_invariants(redis_client, keys, accepted=1)


@pytest.mark.parametrize(
    "other",
    [
        Job(id="call-7", url="https://media.example.org/other.wav"),
        Job(id="call-7", url=URL, tenant="globex"),
        Job(id="call-7", url=URL, language="de"),
    ],
    ids=["url", "tenant", "option"],
)
@pytest.mark.parametrize("first_has_ended", [False, True])
def test_another_payload_under_a_taken_id_is_a_conflict(
    worker: WorkQueue,
    client: Client,
    redis_client: redis.Redis,
    keys: Keys,
    other: Job,
    first_has_ended: bool,
) -> None:
    client.submit(Job(id="call-7", url=URL, tenant="acme"))
    claim = worker.claim()
    if first_has_ended:
        worker.settle(claim, Concluded(done(claim)))
    entry = redis_client.xadd(keys.stream("normal"), other.to_fields()).decode()

    assert worker.claim() is None

    refused = client.result(f"normal-{entry}")
    assert (refused.state, refused.error.code) == (State.FAILED, Code.CONFLICTING_ID)
    assert "call-7" in refused.error.message
    if not first_has_ended:
        assert worker.settle(claim, Concluded(done(claim))) is Settled.PUBLISHED
    assert client.result("call-7").state is State.DONE
    assert_invariants(redis_client, keys, accepted=2)


def test_the_producer_of_a_conflict_learns_of_it(
    worker: WorkQueue, client: Client, server: EmbeddedServer, queue_id: str
) -> None:
    client.submit(Job(id="call-7", url=URL))
    first = worker.claim()
    with Client(server.settings, queue_id) as second:
        second.submit(Job(id="call-7", url="https://media.example.org/other.wav"))
        answers = second.wait(["call-7"], timeout_seconds=30)
        assert worker.claim() is None
        ((job_id, result),) = answers
    assert (job_id, result.error.code) == ("call-7", Code.CONFLICTING_ID)
    worker.settle(first, Concluded(done(first)))


def test_nobody_can_take_an_id_that_the_queue_makes(
    worker: WorkQueue, redis_client: redis.Redis, keys: Keys
) -> None:
    redis_client.xadd(keys.stream("low"), {"url": URL, "id": "normal-1800000000000-0"})
    redis_client.xadd(keys.stream("normal"), {"url": URL}, id="1800000000000-0")

    claim = worker.claim()

    assert claim.job_id == "normal-1800000000000-0"
    assert claim.stream == keys.stream("normal")
    worker.settle(claim, Concluded(done(claim)))
    assert worker.claim() is None
    assert_invariants(redis_client, keys, accepted=2)


@pytest.mark.parametrize("bad", ["", "ä", "-x", "a b", "x" * 129, "a\nb"])
def test_an_id_that_cannot_be_one_is_left_to_the_worker_to_refuse(
    worker: WorkQueue, redis_client: redis.Redis, keys: Keys, bad: str
) -> None:
    entry = redis_client.xadd(keys.stream("normal"), {"url": URL, "id": bad}).decode()

    claim = worker.claim()

    assert claim.job_id == f"normal-{entry}"
    assert claim.fields[b"id"] == bad.encode()


def test_the_owner_of_a_stream_cannot_send_in_anothers_name(
    make_worker: MakeWorker, redis_client: redis.Redis, keys: Keys
) -> None:
    worker = make_worker(tenants=["acme"])
    entry = redis_client.xadd(
        keys.stream("normal", "acme"), {"url": URL, "tenant": "globex"}
    ).decode()

    claim = worker.claim()

    assert claim.job_id == f"normal:acme-{entry}"
    assert (claim.priority, claim.tenant) == ("normal", "acme")
    assert claim.fields[b"tenant"] == b"acme"


@pytest.mark.parametrize("ending", ["lost", "present"])
def test_a_resubmission_takes_the_place_of_an_entry_that_a_failover_lost(
    worker: WorkQueue,
    make_worker: MakeWorker,
    client: Client,
    redis_client,
    keys: Keys,
    ending: str,
) -> None:
    job = Job(id="call-7", url=URL)
    client.submit(job)
    before = worker.claim()
    if ending == "lost":
        redis_client.xdel(before.stream, before.entry_id)
    client.submit(job)

    after = make_worker().claim()

    if ending == "present":
        assert after is None
        assert worker.settle(before, Concluded(done(before))) is Settled.PUBLISHED
    else:
        assert (after.job_id, after.epoch) == ("call-7", 2)
        assert worker.settle(before, Concluded(done(before))) is Settled.FENCED
        assert worker.settle(after, Concluded(done(after))) is Settled.PUBLISHED
    assert_invariants(redis_client, keys, accepted=1)


def test_a_flood_of_high_leaves_room_for_low(
    worker: WorkQueue, redis_client: redis.Redis, keys: Keys
) -> None:
    for _ in range(200):
        redis_client.xadd(keys.stream("high"), {"url": URL})
    for _ in range(2):
        redis_client.xadd(keys.stream("low"), {"url": URL})

    order = [worker.claim().priority for _ in range(202)]

    # Each claim takes low first with a chance of 1 in 12: none in 150 claims is a chance of 2e-6.
    assert order[:150].count("low") >= 1
    assert Counter(order) == {"high": 200, "low": 2}


def test_a_busy_tenant_does_not_starve_a_quiet_one(
    make_worker: MakeWorker, redis_client: redis.Redis, keys: Keys
) -> None:
    worker = make_worker(tenants=["busy", "quiet"])
    for _ in range(100):
        redis_client.xadd(keys.stream("normal", "busy"), {"url": URL})
    redis_client.xadd(keys.stream("normal", "quiet"), {"url": URL})

    tenants = [worker.claim().tenant for _ in range(60)]

    # First with a chance of one half each time: later than 60 would be a chance of 1e-18.
    assert "quiet" in tenants


def test_the_order_follows_the_weights() -> None:
    first = Counter(weighted_order({"high": 8, "normal": 3, "low": 1})[0] for _ in range(12_000))

    assert first["high"] == pytest.approx(8000, rel=0.1)
    assert first["normal"] == pytest.approx(3000, rel=0.15)
    assert first["low"] == pytest.approx(1000, rel=0.3)


def test_an_idle_worker_is_woken_by_a_plain_entry(
    server: EmbeddedServer, keys: Keys, make_worker: MakeWorker
) -> None:
    patient = make_worker(QueuePolicy(reclaim_seconds=60))
    assert patient.claim() is None
    producer = server.settings.connect()

    def send() -> None:
        wait_for(lambda: producer.info("clients")["blocked_clients"] >= 1, "a worker that waits")
        producer.xadd(keys.stream("low"), {"url": URL})

    sender = Thread(target=send)
    sender.start()
    began = time.monotonic()
    patient.wait(9)
    waited = time.monotonic() - began
    sender.join()
    producer.close()

    assert patient.claim().priority == "low"
    assert waited < 7, "the wait ran to its end"


def test_a_worker_that_missed_an_entry_between_claim_and_wait_does_not_sleep_on_it(
    make_worker: MakeWorker, redis_client: redis.Redis, keys: Keys
) -> None:
    patient = make_worker(QueuePolicy(reclaim_seconds=60))
    assert patient.claim() is None
    redis_client.xadd(keys.stream("normal"), {"url": URL})

    began = time.monotonic()
    patient.wait(9)

    assert time.monotonic() - began < 5
    assert patient.claim() is not None


def test_a_stream_key_of_another_type_stops_nobody(
    worker: WorkQueue, redis_client: redis.Redis, keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    redis_client.set(keys.stream("high"), "no stream")
    assert worker.claim() is None
    worker.wait(0.01)
    assert worker.claim() is None
    assert [record.args for record in caplog.records] == [(keys.stream("high"),)]

    redis_client.xadd(keys.stream("low"), {"url": URL})
    assert worker.claim().priority == "low"


@pytest.mark.parametrize("command", ["set", "rpush", "xadd"])
def test_a_job_key_of_another_type_makes_a_dead_letter(
    worker: WorkQueue,
    client: Client,
    admin: Admin,
    redis_client: redis.Redis,
    keys: Keys,
    command: str,
) -> None:
    value = {"x": "y"} if command == "xadd" else "y"
    getattr(redis_client, command)(keys.job("call-7"), value)
    before = redis_client.dump(keys.job("call-7"))
    client.submit(Job(id="call-7", url=URL))
    client.submit(Job(id="call-8", url=URL))

    claim = take(worker)

    assert claim.job_id == "call-8"
    worker.settle(claim, Concluded(done(claim)))
    assert worker.claim() is None
    ((_, letter),) = admin.dead_letters()
    assert letter.code is Code.MALFORMED_ENTRY
    assert keys.job("call-7") in letter.message
    assert letter.fields[b"id"] == b"call-7"
    assert redis_client.dump(keys.job("call-7")) == before
    assert_invariants(redis_client, keys, accepted=2)


def test_an_entry_whose_every_key_is_taken_makes_a_dead_letter_too(
    worker: WorkQueue, admin: Admin, redis_client: redis.Redis, keys: Keys
) -> None:
    entry = redis_client.xadd(keys.stream("normal"), {"url": URL}).decode()
    redis_client.set(keys.job(f"normal-{entry}"), "taken")

    assert worker.claim() is None

    ((_, letter),) = admin.dead_letters()
    assert letter.code is Code.MALFORMED_ENTRY
    assert redis_client.get(keys.job(f"normal-{entry}")) == b"taken"
    assert_invariants(redis_client, keys, accepted=1)


@pytest.mark.parametrize(
    "fields",
    [
        {b"\xff\xfe": b"\xff"},
        {b"audio": b"\x00" * 10, b"id": b"\x00"},
        {b"": b""},
        {f"f{n}".encode(): b"v" for n in range(3000)},
    ],
    ids=["no UTF-8", "null bytes", "empty", "3,000 fields"],
)
def test_a_claim_takes_whatever_bytes_an_entry_has_and_so_does_its_dead_letter(
    worker: WorkQueue, admin: Admin, redis_client: redis.Redis, keys: Keys, fields: dict
) -> None:
    redis_client.xadd(keys.stream("normal"), fields)

    claim = worker.claim()
    assert dict(claim.fields) == fields
    assert worker.settle(claim, Buried(Code.MALFORMED_ENTRY, "no job")) is Settled.PUBLISHED

    ((_, letter),) = admin.dead_letters()
    kept = dict(list(fields.items())[:128])
    assert letter.fields == kept
    assert letter.dropped_fields == len(fields) - len(kept)
    assert_invariants(redis_client, keys, accepted=1)


def test_a_cancel_that_comes_first_keeps_the_job_from_running(
    worker: WorkQueue, client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    assert client.cancel("call-7") is Cancelled.NOTED
    client.submit(Job(id="call-7", url=URL))

    assert worker.claim() is None

    assert client.result("call-7").state is State.CANCELLED
    assert_invariants(redis_client, keys, accepted=1)


def test_two_workers_never_hold_the_same_job(
    make_worker: MakeWorker, client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    ids = client.submit_many([Job(url=URL) for _ in range(50)])
    workers = [make_worker(), make_worker()]

    claims = [workers[n % 2].claim() for n in range(50)]

    assert sorted(claim.job_id for claim in claims) == sorted(ids)
    for n, claim in enumerate(claims):
        assert workers[n % 2].renew([claim]) == {claim: Renewal.OK}
        assert workers[n % 2].settle(claim, Concluded(done(claim))) is Settled.PUBLISHED
    assert_invariants(redis_client, keys, accepted=50)
