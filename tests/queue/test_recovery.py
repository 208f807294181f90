"""How soon the jobs of a worker that is gone come to another."""

from dataclasses import replace

import pytest
import redis

from consumers import PATIENT, MakeWorker, done
from servers import assert_invariants, wait_for
from whisperfleet.client import Client
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import Keys
from whisperfleet.queue import Claim

OLD_MS = int(PATIENT.lease_seconds * 1000) + 1
# A second look for lapsed leases within a test would be an immediate one.
RARELY = replace(PATIENT, reclaim_seconds=600)


@pytest.fixture(autouse=True)
def _server_that_is_not_new(redis_client: redis.Redis) -> None:
    """Just after a start of the server nobody takes a lease for lapsed."""
    wait_for(lambda: redis_client.info("server")["uptime_in_seconds"] > 0, "the server is up")


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
        alive.finish(claim, done(claim))

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
        alive.finish(claim, done(claim))

    assert order == ["job-2", "job-3", "job-1", "job-0"]
