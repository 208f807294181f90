"""How soon the jobs of a worker that is gone come to another."""

from dataclasses import replace

import pytest
import redis

from support.queue.consumers import PATIENT, MakeWorker, done
from support.servers import assert_invariants
from whisperfleet.client import Client
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import Keys
from whisperfleet.queue import Claim, Concluded, Settled

OLD_MS = int(PATIENT.lease_seconds * 1000) + 1
# A second look for lapsed leases within a test would be an immediate one.
RARELY = replace(PATIENT, reclaim_seconds=600)


def _jobs(number: int) -> list[Job]:
    return [Job(id=f"job-{n}", url="https://media.example.org/a.wav") for n in range(number)]


def _age(redis_client: redis.Redis, keys: Keys, claim: Claim, deliveries: int = 1) -> None:
    """Make the lease of a claim one that lapsed."""
    redis_client.xclaim(
        claim.stream,
        keys.group,
        "worker-1",
        0,
        [claim.entry_id],
        idle=OLD_MS,
        retrycount=deliveries,
        justid=True,
    )


def test_all_that_a_dead_worker_held_comes_back_in_a_row(
    make_worker: MakeWorker, client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    dead, alive = make_worker(RARELY), make_worker(RARELY)
    client.submit_many(_jobs(5))
    for _ in range(4):
        _age(redis_client, keys, dead.claim())

    order = []
    while claim := alive.claim():
        order.append(claim.job_id)
        alive.settle(claim, Concluded(done(claim)))

    assert order == ["job-0", "job-1", "job-2", "job-3", "job-4"]
    assert_invariants(redis_client, keys, accepted=5)


def test_suspects_come_after_those_that_they_took_along(
    make_worker: MakeWorker, client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    dead, alive = make_worker(RARELY), make_worker(RARELY)
    client.submit_many(_jobs(4))
    for deliveries in (5, 4, 1, 2):
        _age(redis_client, keys, dead.claim(), deliveries)

    order = []
    while claim := alive.claim():
        order.append(claim.job_id)
        alive.settle(claim, Concluded(done(claim)))

    assert order == ["job-2", "job-3", "job-1", "job-0"]


def test_many_suspects_do_not_keep_the_others_waiting(
    make_worker: MakeWorker, client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    dead, alive = make_worker(RARELY), make_worker(RARELY)
    client.submit_many(_jobs(41))
    for n in range(41):
        _age(redis_client, keys, dead.claim(), deliveries=1 if n == 40 else 5)

    assert alive.claim().job_id == "job-40"


@pytest.mark.parametrize("orphans", [1, 3])
def test_entries_about_which_nothing_can_be_done_do_not_hide_the_others(
    make_worker: MakeWorker, client: Client, redis_client: redis.Redis, keys: Keys, orphans: int
) -> None:
    """Jobs whose entries somebody trimmed stay pending for as long as their worker is heard."""
    holder, dead, alive = (make_worker(PATIENT) for _ in range(3))
    client.submit_many(_jobs(300 + orphans))
    held = [holder.claim() for _ in range(300)]
    lost = [dead.claim() for _ in range(orphans)]
    for claim in (*held, *lost):
        _age(redis_client, keys, claim)
    redis_client.xdel(held[0].stream, *(claim.entry_id for claim in held))

    # A page of them with each look.
    found = [alive.claim() for _ in range(3)]
    while len([claim for claim in found if claim]) < orphans:
        found.append(alive.claim())
        assert len(found) < 20, "the orphans are not found"

    taken = [claim for claim in found if claim]
    assert {claim.job_id for claim in taken} == {claim.job_id for claim in lost}
    for worker, claims in ((holder, held), (alive, taken)):
        for claim in claims:
            assert worker.settle(claim, Concluded(done(claim))) is Settled.PUBLISHED
    assert_invariants(redis_client, keys, accepted=300 + orphans)
