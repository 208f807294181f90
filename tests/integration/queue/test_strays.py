"""What a person does to a consumer group by hand: nothing that was delivered is lost by it."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import redis

from support.queue.consumers import PATIENT, URL, MakeWorker, done, take
from support.servers import assert_invariants, wait_for
from whisperfleet.client import Admin, Client
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import Keys
from whisperfleet.queue import Claim, Concluded, Renewal, Settled, WorkQueue

# Leases that lapse while a test waits for it, and not in what it does meanwhile.
SHORT = replace(PATIENT, lease_seconds=0.5)

Deed = Callable[[redis.Redis, Keys, Claim], object]


def forget_consumers(raw: redis.Redis, keys: Keys, claim: Claim) -> None:
    for consumer in raw.xinfo_consumers(claim.stream, keys.group):
        raw.xgroup_delconsumer(claim.stream, keys.group, consumer["name"])


def acknowledge(raw: redis.Redis, keys: Keys, claim: Claim) -> None:
    raw.xack(claim.stream, keys.group, claim.entry_id)


def make_anew_behind(raw: redis.Redis, keys: Keys, claim: Claim) -> None:
    raw.xgroup_destroy(claim.stream, keys.group)
    raw.xgroup_create(claim.stream, keys.group, id="$")


def make_anew_before(raw: redis.Redis, keys: Keys, claim: Claim) -> None:
    raw.xgroup_destroy(claim.stream, keys.group)
    raw.xgroup_create(claim.stream, keys.group, id="0")


def destroy(raw: redis.Redis, keys: Keys, claim: Claim) -> None:
    raw.xgroup_destroy(claim.stream, keys.group)


def set_back(raw: redis.Redis, keys: Keys, claim: Claim) -> None:
    raw.xgroup_setid(claim.stream, keys.group, "0")


def set_forward(raw: redis.Redis, keys: Keys, claim: Claim) -> None:
    acknowledge(raw, keys, claim)
    raw.xgroup_setid(claim.stream, keys.group, "$")


def take_away(raw: redis.Redis, keys: Keys, claim: Claim) -> None:
    raw.xclaim(claim.stream, keys.group, "a-person", 0, [claim.entry_id])


DEEDS = (
    *(forget_consumers, acknowledge, make_anew_behind, make_anew_before, destroy),
    *(set_back, set_forward, take_away),
)
each_deed = pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: deed.__name__)


@each_deed
def test_a_job_of_a_dead_worker_is_taken_whatever_a_person_did_to_its_group(
    make_worker: MakeWorker, client: Client, redis_client: redis.Redis, keys: Keys, deed: Deed
) -> None:
    dead, alive = make_worker(SHORT), make_worker(SHORT)
    client.submit(Job(id="call-1", url="https://media.example.org/a.wav"))
    lost = take(dead)

    deed(redis_client, keys, lost)

    found = take(alive)
    assert (found.job_id, found.epoch) == ("call-1", 2)
    assert dead.settle(lost, Concluded(done(lost))) is Settled.FENCED
    assert alive.settle(found, Concluded(done(found))) is Settled.PUBLISHED
    assert_invariants(redis_client, keys, accepted=1)


@each_deed
def test_a_job_in_good_hands_stays_there_whatever_a_person_does_to_its_group(
    make_worker: MakeWorker, client: Client, redis_client: redis.Redis, keys: Keys, deed: Deed
) -> None:
    owner, other = make_worker(), make_worker()
    client.submit(Job(id="call-1", url="https://media.example.org/a.wav"))
    claim = take(owner)

    deed(redis_client, keys, claim)

    assert other.claim() is None
    assert owner.claim() is None
    assert owner.renew([claim]) == {claim: Renewal.OK}
    assert other.claim() is None
    (pending,) = redis_client.xpending_range(claim.stream, keys.group, "-", "+", 10)
    assert pending["message_id"].decode() == claim.entry_id
    assert owner.settle(claim, Concluded(done(claim))) is Settled.PUBLISHED
    assert_invariants(redis_client, keys, accepted=1)


def test_what_came_before_a_group_that_a_person_made_at_the_end_is_done(
    worker: WorkQueue, client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    for n in range(20):
        client.submit(Job(id=f"call-{n}", url="https://media.example.org/a.wav"))
    redis_client.xgroup_create(keys.stream("normal"), keys.group, id="$")

    for _ in range(20):
        claim = take(worker)
        assert (claim.epoch, claim.deliveries) == (1, 1)
        worker.settle(claim, Concluded(done(claim)))

    assert_invariants(redis_client, keys, accepted=20)


def test_strays_between_many_that_are_held_are_found(
    make_worker: MakeWorker, client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    holder, finder = make_worker(), make_worker()
    for n in range(300):
        client.submit(Job(id=f"call-{n}", url="https://media.example.org/a.wav"))
    claims = [take(holder) for _ in range(300)]
    strays = [claims[n] for n in (0, 1, 127, 128, 200, 299)]
    for stray in strays:
        acknowledge(redis_client, keys, stray)
        redis_client.hset(keys.job(stray.job_id), "beat", 0)

    found = {take(finder).job_id for _ in strays}

    assert found == {stray.job_id for stray in strays}
    assert finder.claim() is None


def test_a_stray_that_brings_down_its_workers_uses_up_its_budget(
    make_worker: MakeWorker, client: Client, admin: Admin, redis_client: redis.Redis, keys: Keys
) -> None:
    policy = replace(PATIENT, max_deliveries=3)
    client.submit(Job(id="poison", url="https://media.example.org/a.wav"))
    for deliveries in (1, 2, 3):
        claim = take(make_worker(policy))
        assert claim.deliveries == deliveries
        forget_consumers(redis_client, keys, claim)
        redis_client.hset(keys.job(claim.job_id), "beat", 0)

    assert make_worker(policy).claim() is None

    assert [letter.id for _, letter in admin.dead_letters()] == ["poison"]
    assert_invariants(redis_client, keys, accepted=1)


def delete_wholly(raw: redis.Redis, keys: Keys, claim: Claim) -> None:
    acknowledge(raw, keys, claim)
    raw.xdel(claim.stream, claim.entry_id)


# Of whom nothing is heard for a few milliseconds is gone.
CARETAKER = replace(PATIENT, lease_seconds=0.002, beat_seconds=0.001)


def listed(raw: redis.Redis, keys: Keys) -> set[str]:
    """Return the jobs that `running` lists."""
    return {job_id.decode() for job_id in raw.hvals(keys.running)}


def test_what_a_person_deleted_wholly_is_listed_as_running_no_more(
    make_worker: MakeWorker, client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    worker, caretaker = make_worker(), make_worker(CARETAKER)
    client.submit_many([Job(id=f"call-{n}", url=URL) for n in range(4)])
    wholly, entry, mark, untouched = claims = [take(worker) for _ in range(4)]
    delete_wholly(redis_client, keys, wholly)
    redis_client.xdel(entry.stream, entry.entry_id)
    acknowledge(redis_client, keys, mark)
    worker.prune()
    assert listed(redis_client, keys) == {claim.job_id for claim in claims}, "their worker lives"

    def is_forgotten() -> bool:
        caretaker.prune()
        return wholly.job_id not in listed(redis_client, keys)

    wait_for(is_forgotten, "the job of a worker that is gone to be forgotten")
    assert listed(redis_client, keys) == {c.job_id for c in (entry, mark, untouched)}
    client.submit(Job(id=wholly.job_id, url=URL))
    again = take(worker)
    assert (again.job_id, again.epoch) == (wholly.job_id, 2)
    assert worker.settle(again, Concluded(done(again))) is Settled.PUBLISHED
    assert worker.settle(wholly, Concluded(done(wholly))) is Settled.FENCED


def test_all_that_were_deleted_are_found_page_by_page(
    make_worker: MakeWorker, redis_client: redis.Redis, keys: Keys
) -> None:
    places = {f"normal/{n}-1": f"call-{n}" for n in range(1, 2001)}
    others = {"normal:acme/1-1": "of-a-stream-that-this-worker-has-not"}
    redis_client.hset(keys.running, mapping=places | others)
    caretaker = make_worker(CARETAKER)

    def is_empty() -> bool:
        before = redis_client.hlen(keys.running)
        caretaker.prune()
        assert before - redis_client.hlen(keys.running) < 1000, "more than a page at once"
        return redis_client.hlen(keys.running) == len(others)

    wait_for(is_empty, "every page to be looked through")
