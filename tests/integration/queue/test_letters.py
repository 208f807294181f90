"""Dead letters that are dropped: the id of their job is free at once."""

import pytest
import redis

from support.queue.consumers import done, take
from support.servers import assert_invariants
from whisperfleet.client import Admin, Client, Dropped, Redriven
from whisperfleet.contract.codes import Code
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import Keys
from whisperfleet.contract.states import State
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.queue import Buried, Concluded, WorkQueue

JOB = Job(id="call-7", url="https://media.example.org/a.wav")


def bury(worker: WorkQueue, client: Client, redis_client: redis.Redis, job: Job = JOB) -> str:
    """Let a job die; return the id of its letter."""
    client.submit(job)
    worker.settle(take(worker), Buried(Code.INTERNAL, "it broke"))
    ((letter_id, _),) = redis_client.xrevrange(client.keys.dead_letters, count=1)
    return letter_id.decode()


def run_again(worker: WorkQueue, client: Client) -> None:
    client.submit(JOB)
    claim = take(worker)
    assert (claim.job_id, claim.epoch) == ("call-7", 1)
    worker.settle(claim, Concluded(done(claim)))
    assert client.result("call-7").state is State.DONE


def test_the_id_of_a_dropped_letter_is_free_at_once(
    worker: WorkQueue, client: Client, admin: Admin, redis_client: redis.Redis, keys: Keys
) -> None:
    letter_id = bury(worker, client, redis_client)
    assert admin.drop_letter(letter_id) is Dropped.DROPPED
    assert list(admin.dead_letters()) == []
    assert client.status("call-7") is None
    assert client.result("call-7") is None
    assert admin.stats().totals["dropped"] == 1
    redis_client.delete(keys.done, keys.counters)
    run_again(worker, client)
    assert_invariants(redis_client, keys, accepted=1)
    assert admin.drop_letter(letter_id) is Dropped.UNKNOWN


@pytest.mark.parametrize("gone", ["by hand", "by the cap", "not at all"])
def test_a_job_is_dropped_by_its_own_id_with_and_without_its_letter(
    worker: WorkQueue,
    client: Client,
    admin: Admin,
    redis_client: redis.Redis,
    keys: Keys,
    gone: str,
) -> None:
    letter_id = bury(worker, client, redis_client)
    if gone == "by hand":
        redis_client.xdel(keys.dead_letters, letter_id)
    if gone == "by the cap":
        redis_client.xtrim(keys.dead_letters, maxlen=0, approximate=False)
    assert admin.drop_letter("call-7") is Dropped.DROPPED
    assert redis_client.xlen(keys.dead_letters) == 0
    run_again(worker, client)


def test_only_what_is_dead_is_dropped(
    worker: WorkQueue, client: Client, redis_client: redis.Redis, admin: Admin
) -> None:
    letter_id = bury(worker, client, redis_client)
    admin.redrive(letter_id)
    for _ in ("waits", "runs", "has ended"):
        assert admin.drop_letter("call-7") is Dropped.ALIVE
        if claim := worker.claim():
            running = claim
        else:
            worker.settle(running, Concluded(done(running)))
    assert admin.drop_letter("call-7") is Dropped.ALIVE
    assert admin.drop_letter("nobody") is Dropped.UNKNOWN
    assert client.result("call-7").state is State.DONE


def test_the_newest_letter_of_a_job_goes_with_it(
    worker: WorkQueue, client: Client, admin: Admin, redis_client: redis.Redis, keys: Keys
) -> None:
    first = bury(worker, client, redis_client)
    kept = redis_client.xrange(keys.dead_letters, first, first)[0][1]
    admin.redrive(first)
    worker.settle(take(worker), Buried(Code.INTERNAL, "it broke again"))
    # A remnant, as of a backup that was restored.
    remnant = redis_client.xadd(keys.dead_letters, kept).decode()
    assert admin.drop_letter(remnant) is Dropped.DROPPED
    assert redis_client.xlen(keys.dead_letters) == 0
    assert client.status("call-7") is None


def test_a_letter_that_cannot_be_read_can_be_dropped(
    admin: Admin, redis_client: redis.Redis, keys: Keys
) -> None:
    broken = redis_client.xadd(keys.dead_letters, {"mood": b"\xff"}).decode()
    assert admin.dead_letter(broken) is None
    assert admin.drop_letter(broken) is Dropped.DROPPED
    assert redis_client.xlen(keys.dead_letters) == 0


def test_a_letter_of_no_stream_is_not_sent_again(
    admin: Admin, redis_client: redis.Redis, keys: Keys
) -> None:
    fields = {"id": "a", "stream": "no name", "entry": "1-1", "code": "internal", "message": "m"}
    odd = redis_client.xadd(keys.dead_letters, fields).decode()
    assert admin.redrive(odd) is Redriven.EMPTY


def test_a_tenant_drops_its_own_alone(
    worker: WorkQueue, client: Client, redis_client: redis.Redis, server: EmbeddedServer, keys: Keys
) -> None:
    letter_id = bury(worker, client, redis_client, JOB.model_copy(update={"tenant": "globex"}))
    with Admin(server.settings, keys.queue_id, tenant="acme") as acme:
        assert acme.drop_letter(letter_id) is Dropped.UNKNOWN
        assert acme.drop_letter("call-7") is Dropped.UNKNOWN
    with Admin(server.settings, keys.queue_id, tenant="globex") as globex:
        assert globex.drop_letter("call-7") is Dropped.DROPPED
