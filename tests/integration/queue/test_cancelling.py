"""A job is cancelled before, during and after its run, and by nobody but its own tenant."""

import pytest
import redis

from support.queue.consumers import URL, MakeWorker, done
from support.servers import assert_invariants, wait_for
from whisperfleet.client import Cancelled, Client
from whisperfleet.contract.codes import Code
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import Keys
from whisperfleet.contract.states import State
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.queue import Concluded, Released, Renewal, Settled, WorkQueue

JOB = Job(url=URL)


def test_a_job_that_waits_is_cancelled_without_a_worker(
    worker: WorkQueue, client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    job_id = client.submit(Job(url=URL, tenant="acme"))

    assert client.cancel(job_id) is Cancelled.CANCELLED

    assert worker.claim() is None
    result = client.result(job_id)
    assert (result.state, result.error.code) == (State.CANCELLED, Code.CANCELLED)
    assert result.tenant == "acme"
    assert client.cancel(job_id) is Cancelled.ENDED
    assert_invariants(redis_client, keys, accepted=1)


def test_a_released_job_is_cancelled_without_a_worker(
    worker: WorkQueue, client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    client.submit(Job(id="call-7", url=URL))
    worker.settle(worker.claim(), Released())

    assert client.cancel("call-7") is Cancelled.CANCELLED

    assert worker.claim() is None
    assert_invariants(redis_client, keys, accepted=1)


def test_a_job_whose_record_names_nobody_is_cancelled_whole(
    worker: WorkQueue, client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    client.submit(Job(id="call-7", url=URL))
    worker.settle(worker.claim(), Released())
    redis_client.hdel(keys.job("call-7"), "tenant")

    assert client.cancel("call-7") is Cancelled.CANCELLED

    assert_invariants(redis_client, keys, accepted=1)


def test_a_running_job_is_cancelled_with_its_next_beat(
    worker: WorkQueue, client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    job_id = client.submit(JOB)
    claim = worker.claim()

    assert client.cancel(job_id) is Cancelled.RUNNING
    assert client.status(job_id).cancel_requested
    assert worker.renew([claim]) == {claim: Renewal.CANCELLED}

    stopped = done(claim).model_copy(update={"state": State.CANCELLED})
    assert worker.settle(claim, Concluded(stopped)) is Settled.PUBLISHED
    assert_invariants(redis_client, keys, accepted=1)


def test_a_cancelled_job_whose_worker_died_does_not_run_again(
    make_worker: MakeWorker, client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    worker = make_worker()
    job_id = client.submit(JOB)
    claim = worker.claim()
    client.cancel(job_id)
    worker.settle(claim, Released())

    begun = []
    wait_for(lambda: begun.append(worker.claim()) or client.result(job_id), "the job to end")
    assert set(begun) == {None}
    assert client.result(job_id).state is State.CANCELLED
    assert_invariants(redis_client, keys, accepted=1)


def test_a_job_that_ended_cannot_be_cancelled(worker: WorkQueue, client: Client) -> None:
    job_id = client.submit(JOB)
    claim = worker.claim()
    worker.settle(claim, Concluded(done(claim)))

    assert client.cancel(job_id) is Cancelled.ENDED
    assert client.result(job_id).state is State.DONE


def test_a_cancel_of_what_cannot_exist_changes_nothing(
    client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    assert client.cancel("normal-1-1") is Cancelled.UNKNOWN
    assert list(redis_client.scan_iter(f"{keys.prefix}*")) == []


@pytest.mark.parametrize(
    ("cancellers", "state"),
    [
        (["rival"], None),
        (["rival", "acme"], State.CANCELLED),
        (["acme", "rival"], State.CANCELLED),
        ([None, "rival"], State.CANCELLED),
    ],
)
def test_a_cancel_that_comes_first_must_be_of_the_jobs_own_tenant(
    worker: WorkQueue,
    acme: Client,
    server: EmbeddedServer,
    redis_client: redis.Redis,
    keys: Keys,
    cancellers: list[str | None],
    state: State | None,
) -> None:
    acme.submit(Job(id="call-7", url=URL))
    for tenant in cancellers:
        with Client(server.settings, keys.queue_id, tenant=tenant) as canceller:
            assert canceller.cancel("call-7") is Cancelled.NOTED

    claim = worker.claim()

    if claim:
        assert worker.renew([claim]) == {claim: Renewal.OK}
        assert redis_client.ttl(keys.job("call-7")) == -1, "the record fades under its worker"
        worker.settle(claim, Concluded(done(claim)))
    assert acme.result("call-7").state is (state or State.DONE)
    assert_invariants(redis_client, keys, accepted=1)
