"""Purge and drop: what they end, and what they leave alone."""

import pytest
import redis

from support.queue.consumers import URL, done
from support.servers import assert_invariants
from whisperfleet.client import Admin, Client
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import Keys
from whisperfleet.contract.states import State
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.queue import Concluded, Released, Renewal, WorkQueue

JOB = Job(url=URL)


def test_purge_ends_everything(
    worker: WorkQueue, client: Client, admin: Admin, redis_client: redis.Redis, keys: Keys
) -> None:
    client.submit(Job(id="call-7", url=URL), priority="high")
    running = worker.claim()
    client.submit_many([JOB] * 250)
    client.submit_many([Job(id=f"own-{n}", url=URL) for n in range(3)], priority="low")
    client.submit(Job(id="own-1", url=URL))
    redis_client.xadd(keys.stream("high"), {"url": URL, "id": "no id"})

    assert admin.purge() == 254

    assert worker.renew([running]) == {running: Renewal.CANCELLED}
    worker.settle(running, Concluded(done(running)))
    assert worker.claim() is None
    assert_invariants(redis_client, keys, accepted=255)


def test_what_was_purged_and_is_sent_again_is_a_duplicate(
    worker: WorkQueue, client: Client, admin: Admin, redis_client: redis.Redis, keys: Keys
) -> None:
    job = Job(id="call-7", url=URL, tenant="acme")
    client.submit(job)
    assert admin.purge() == 1
    client.submit(job)

    assert worker.claim() is None

    assert client.result("call-7").state is State.CANCELLED
    assert admin.stats().totals["duplicates"] == 1
    assert_invariants(redis_client, keys, accepted=1)


@pytest.mark.parametrize("first", ["waits", "runs", "was handed back", "ended"])
def test_purge_ends_a_conflict_under_the_id_that_the_queue_makes(
    worker: WorkQueue,
    client: Client,
    admin: Admin,
    redis_client: redis.Redis,
    keys: Keys,
    first: str,
) -> None:
    job = Job(id="call-7", url=URL)
    client.submit(job)
    claim = None if first == "waits" else worker.claim()
    if first == "was handed back":
        worker.settle(claim, Released())
    if first == "ended":
        worker.settle(claim, Concluded(done(claim)))
    entry = redis_client.xadd(keys.stream("low"), {"id": "call-7", "url": f"{URL}?other"}).decode()
    client.submit(job, priority="high")

    assert admin.purge() == (2 if first in {"waits", "was handed back"} else 1)

    assert client.result(f"low-{entry}").state is State.CANCELLED
    if first == "runs":
        assert worker.renew([claim]) == {claim: Renewal.CANCELLED}
        worker.settle(claim, Concluded(done(claim)))
    assert worker.claim() is None
    assert_invariants(redis_client, keys, accepted=2)


def test_purge_takes_no_entry_for_another_by_the_id_that_it_asks_for(
    admin: Admin, redis_client: redis.Redis, keys: Keys
) -> None:
    redis_client.xadd(keys.stream("high"), {"url": URL, "id": "normal-1800000000000-0"})
    redis_client.xadd(keys.stream("normal"), {"url": URL}, id="1800000000000-0")

    assert admin.purge() == 2
    assert_invariants(redis_client, keys, accepted=2)


def test_drop_leaves_nothing_of_the_queue_and_all_of_others(
    worker: WorkQueue,
    client: Client,
    admin: Admin,
    server: EmbeddedServer,
    redis_client: redis.Redis,
    keys: Keys,
) -> None:
    neighbour = Keys(f"{keys.queue_id}.b")
    redis_client.xadd(neighbour.stream("normal"), {"url": URL})
    client.submit_many([Job(id=f"own-{n}", url=URL) for n in range(250)])
    for _ in range(250):
        claim = worker.claim()
        assert claim is not None
        worker.settle(claim, Concluded(done(claim)))
    with (
        Admin(server.settings, keys.queue_id, tenant="acme") as acme,
        pytest.raises(ValueError, match="not acme's alone"),
    ):
        acme.drop()

    # A record and a result for each job, and what there is once for each queue.
    assert admin.drop() >= 500

    assert list(redis_client.scan_iter(f"{keys.prefix}*")) == []
    assert redis_client.xlen(neighbour.stream("normal")) == 1
    redis_client.delete(neighbour.stream("normal"))
