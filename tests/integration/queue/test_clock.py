"""A server whose clock goes back, as a fail-over to one that is behind makes it.

What was written before bears times that have yet to come.
"""

from dataclasses import replace

import pytest
import redis

from support.queue.consumers import PATIENT, MakeWorker, done, take
from support.queue.server_clock import deliver_later
from support.servers import assert_invariants
from whisperfleet.client import Client
from whisperfleet.contract.codes import Code
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import Keys
from whisperfleet.errors import TransientError
from whisperfleet.queue import Claim, Concluded, Renewal, Retried, Settled

SHORT = replace(PATIENT, lease_seconds=0.5)
HOUR_MS = 3_600_000
JOB = Job(id="call-1", url="https://media.example.org/a.wav")
BUSY = TransientError(Code.FETCH_FAILED, "the server answered 503")


def set_clock_back(raw: redis.Redis, keys: Keys, claim: Claim) -> None:
    """Leave what a clock leaves that went back by an hour a moment ago."""
    later = raw.time()[0] * 1000 + HOUR_MS
    deliver_later(raw, claim.stream, claim.entry_id, HOUR_MS)
    raw.hset(keys.job(claim.job_id), "beat", later)
    # There was an outage just before, and everybody was heard.
    silence = {"heard": later, "silent_since": later - 10, "patient_until": later + 10}
    raw.hset(keys.meta, mapping=silence)


def test_a_dead_workers_job_does_not_wait_for_the_clock(
    make_worker: MakeWorker, client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    dead, alive = make_worker(SHORT), make_worker(SHORT)
    client.submit(JOB)
    lost = take(dead)
    set_clock_back(redis_client, keys, lost)

    found = take(alive)

    assert (found.job_id, found.epoch, found.deliveries) == ("call-1", 2, 2)
    assert dead.settle(lost, Concluded(done(lost))) is Settled.FENCED
    assert alive.settle(found, Concluded(done(found))) is Settled.PUBLISHED
    assert_invariants(redis_client, keys, accepted=1)


def test_a_worker_that_lives_keeps_its_job(
    make_worker: MakeWorker, client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    owner, other = make_worker(), make_worker()
    client.submit(JOB)
    claim = take(owner)
    set_clock_back(redis_client, keys, claim)

    assert other.claim() is None
    assert owner.renew([claim]) == {claim: Renewal.OK}
    assert other.claim() is None
    assert owner.settle(claim, Concluded(done(claim))) is Settled.PUBLISHED
    assert_invariants(redis_client, keys, accepted=1)


@pytest.mark.parametrize("delay_seconds", [0.0, 0.3])
def test_a_retry_does_not_wait_for_the_clock(
    make_worker: MakeWorker,
    client: Client,
    redis_client: redis.Redis,
    keys: Keys,
    delay_seconds: float,
) -> None:
    worker = make_worker(SHORT)
    client.submit(JOB)
    claim = take(worker)
    worker.settle(claim, Retried(BUSY, delay_seconds))
    set_clock_back(redis_client, keys, claim)

    again = take(worker)

    assert (again.retries, again.deliveries) == (1, 1)
    assert worker.settle(again, Concluded(done(again))) is Settled.PUBLISHED
    assert_invariants(redis_client, keys, accepted=1)


def test_neither_does_a_stray_nor_what_was_deleted(
    make_worker: MakeWorker, client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    dead, alive = make_worker(SHORT), make_worker(SHORT)
    client.submit(JOB)
    stray = take(dead)
    set_clock_back(redis_client, keys, stray)
    redis_client.xack(stray.stream, keys.group, stray.entry_id)
    found = take(alive)
    assert (found.job_id, found.epoch) == ("call-1", 2)

    set_clock_back(redis_client, keys, found)
    redis_client.xdel(found.stream, found.entry_id)
    ended = []
    while not ended:
        assert alive.claim(ended.append) is None
    assert ended[0].code is Code.ENTRY_LOST
    assert_invariants(redis_client, keys, accepted=1)
