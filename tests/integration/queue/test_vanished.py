"""A wait ends when nothing can come, and goes on while something may."""

from collections.abc import Callable
from itertools import count
from threading import Thread

import pytest
import redis

from support.queue.consumers import done, take
from support.servers import wait_for
from whisperfleet.client import Client, vanished, watch
from whisperfleet.contract.codes import Code
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import Keys
from whisperfleet.contract.states import State
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.errors import ResultGoneError
from whisperfleet.queue import Concluded, RedisSettings, WorkQueue
from whisperfleet.queue.requests import run

URL = "https://media.example.org/a.wav"
JOB = Job(id="call-7", url=URL)


WaitsOn = Callable[[Client, list[str]], None]


@pytest.fixture(autouse=True)
def looks_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (vanished, watch):
        monkeypatch.setattr(module, "DOUBTFUL_SECONDS", 0.01)
    monkeypatch.setattr(watch, "_LOOK_SECONDS", 0.01)


@pytest.fixture
def waits_on() -> WaitsOn:
    """Check that a wait goes on after some looks."""

    def check(client: Client, job_ids: list[str]) -> None:
        # A minute apart, so that all are looked at each time.
        watching = client._producer.watch(clock=count(step=60).__next__)
        watching.add(job_ids)
        client._run(watching.follow(0))
        for _ in range(4):
            _, results, gone = client._run(watching.look())
            assert (results, gone) == ({}, frozenset())
        assert set(watching.ids) == set(job_ids)

    return check


def end(worker: WorkQueue) -> str:
    claim = take(worker)
    worker.settle(claim, Concluded(done(claim)))
    return claim.job_id


def drop_duplicates(worker: WorkQueue, redis_client: redis.Redis, keys: Keys) -> None:
    assert worker.claim() is None
    assert redis_client.xlen(keys.stream("normal")) == 0


def test_a_result_that_somebody_took_is_gone_for_who_sends_the_same_again(
    worker: WorkQueue, client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    client.submit(JOB)
    end(worker)
    redis_client.delete(keys.result("call-7"))
    client.submit(JOB)
    drop_duplicates(worker, redis_client, keys)
    with pytest.raises(ResultGoneError, match="call-7") as caught:
        list(client.wait(["call-7"], timeout_seconds=100))
    assert caught.value.job_ids == ("call-7",)


def test_the_wait_ends_once_a_worker_has_seen_that_it_is_the_same(
    worker: WorkQueue,
    client: Client,
    redis_client: redis.Redis,
    keys: Keys,
    waits_on: WaitsOn,
) -> None:
    client.submit(JOB)
    end(worker)
    redis_client.delete(keys.result("call-7"))
    client.submit(JOB)
    # Until then it may be another payload under the same id, which gets an answer of its own.
    waits_on(client, ["call-7"])
    worker_thread = Thread(target=lambda: drop_duplicates(worker, redis_client, keys))
    worker_thread.start()
    with pytest.raises(ResultGoneError):
        list(client.wait(["call-7"], timeout_seconds=100))
    worker_thread.join()


def test_another_payload_under_the_id_of_a_job_whose_result_is_gone_has_its_own_answer(
    worker: WorkQueue, client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    client.submit(JOB)
    end(worker)
    redis_client.delete(keys.result("call-7"))
    client.submit(Job(id="call-7", url=f"{URL}?other"))
    drop_duplicates(worker, redis_client, keys)
    ((job_id, result),) = client.wait(["call-7"], timeout_seconds=100)
    assert (job_id, result.error.code) == ("call-7", Code.CONFLICTING_ID)


def test_an_answer_that_comes_between_two_looks_is_one(
    worker: WorkQueue, client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    client.submit(JOB)
    end(worker)
    redis_client.delete(keys.result("call-7"))
    other = {"id": "call-7", "url": f"{URL}?other"}
    made_id = f"normal-{redis_client.xadd(keys.stream('normal'), other).decode()}"
    drop_duplicates(worker, redis_client, keys)
    looking = vanished.Vanished(keys, None, ["normal"])

    def look(now: float) -> vanished.VanishedJobs:
        return run(redis_client, looking.among({"call-7": made_id}, now))

    assert look(1) == (set(), {"call-7"}, False)
    redis_client.delete(keys.result(made_id))
    assert look(2) == ({"call-7"}, set(), False)


def test_the_others_are_yielded_first(
    worker: WorkQueue, client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    ids = client.submit_many([JOB, Job(url=URL)])
    assert [end(worker), end(worker)] == ids
    redis_client.delete(keys.result("call-7"))
    answers = client.wait(ids, timeout_seconds=100)
    assert next(answers)[0] == ids[1]
    with pytest.raises(ResultGoneError):
        next(answers)


def test_what_is_taken_while_one_waits_is_gone(
    worker: WorkQueue,
    client: Client,
    redis_client: redis.Redis,
    keys: Keys,
) -> None:
    job_id = client.submit(Job(url=URL))
    claim = take(worker)

    def finish_and_take() -> None:
        wait_for(lambda: redis_client.info("clients")["blocked_clients"], "a client that waits")
        with redis_client.pipeline() as pipeline:
            # Together, so that the waiting client hears of it and finds nothing.
            pipeline.hset(keys.job(job_id), "state", "done")
            pipeline.hset(keys.job(job_id), "finished", "1790000000000")
            pipeline.xdel(claim.stream, claim.entry_id)
            pipeline.execute()

    taker = Thread(target=finish_and_take)
    taker.start()
    with pytest.raises(ResultGoneError):
        list(client.wait([job_id], timeout_seconds=100))
    taker.join()


@pytest.mark.parametrize("job", [JOB, Job(url=URL)], ids=["an id of its own", "none"])
def test_a_queue_that_was_lost_gives_nothing(
    client: Client,
    redis_client: redis.Redis,
    keys: Keys,
    job: Job,
    waits_on: WaitsOn,
) -> None:
    job_id = client.submit(job)
    waits_on(client, [job_id])
    redis_client.delete(keys.stream("normal"))
    with pytest.raises(ResultGoneError, match=job_id):
        list(client.wait([job_id], timeout_seconds=100))


def test_more_than_are_looked_at_together(
    client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    ids = client.submit_many([Job(url=URL)] * (3 * vanished._MOST_ENTRIES))
    redis_client.delete(keys.stream("normal"))
    with pytest.raises(ResultGoneError) as caught:
        list(client.wait(ids, timeout_seconds=100))
    assert set(caught.value.job_ids) == set(ids)


def test_what_a_replica_does_not_have_yet_is_waited_for(
    client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    job_id = client.submit(Job(url=URL))
    stream = keys.stream("normal")
    ((entry, fields),) = redis_client.xrange(stream)
    redis_client.delete(stream)
    looking = vanished.Vanished(keys, None, ["normal"])

    def look(now: float) -> vanished.VanishedJobs:
        return run(redis_client, looking.among({job_id: job_id}, now))

    assert look(1) == (set(), {job_id}, False)
    redis_client.xadd(stream, fields, id=entry)
    assert look(2) == (set(), set(), False)
    redis_client.delete(stream)
    assert look(3) == (set(), {job_id}, False), "it was there meanwhile"
    assert look(3.005) == (set(), {job_id}, False), "a replica has had no time"
    assert look(4) == ({job_id}, set(), True)


@pytest.mark.parametrize("job_id", ["call-2024-15", "not-sent-yet"])
def test_a_job_that_somebody_else_may_send_yet_is_waited_for(
    client: Client, job_id: str, waits_on: WaitsOn
) -> None:
    waits_on(client, [job_id])


def test_a_job_that_waits_or_runs_is_waited_for(
    worker: WorkQueue,
    client: Client,
    redis_client: redis.Redis,
    keys: Keys,
    waits_on: WaitsOn,
) -> None:
    ids = client.submit_many([JOB, Job(url=URL)])
    take(worker)
    # Its entry is gone and its worker lives: it may finish all the same.
    redis_client.xtrim(keys.stream("normal"), maxlen=1, approximate=False)
    waits_on(client, ids)


def test_a_state_of_tomorrow_is_waited_for_until_it_has_ended(
    worker: WorkQueue,
    client: Client,
    redis_client: redis.Redis,
    keys: Keys,
    waits_on: WaitsOn,
) -> None:
    job_id = client.submit(JOB)
    claim = take(worker)
    redis_client.hset(keys.job(job_id), "state", "paused")
    waits_on(client, [job_id])
    redis_client.hset(keys.job(job_id), "finished", "1790000000000")
    redis_client.xdel(claim.stream, claim.entry_id)
    with pytest.raises(ResultGoneError):
        list(client.wait([job_id], timeout_seconds=100))


def test_another_tenants_job_tells_nothing(
    worker: WorkQueue,
    client: Client,
    server: EmbeddedServer,
    redis_client: redis.Redis,
    keys: Keys,
    waits_on: WaitsOn,
) -> None:
    client.submit(Job(id="call-7", url=URL, tenant="globex"))
    end(worker)
    redis_client.delete(keys.result("call-7"))
    with Client(server.settings, keys.queue_id, tenant="acme") as acme:
        waits_on(acme, ["call-7"])


def test_an_account_that_may_not_look_waits(
    worker: WorkQueue,
    client: Client,
    server: EmbeddedServer,
    redis_client: redis.Redis,
    keys: Keys,
    waits_on: WaitsOn,
) -> None:
    client.submit(JOB)
    end(worker)
    redis_client.delete(keys.result("call-7"))
    name = f"old-{keys.queue_id}"
    # What 0.1.0 had in its documentation.
    rights = ("+get", "+mget", "+xread", "+xrevrange")
    redis_client.execute_command(
        *("ACL", "SETUSER", name, "reset", "on", ">p", f"~{keys.prefix}*", *rights)
    )
    try:
        settings = RedisSettings(server.url, username=name, password="p")
        with Client(settings, keys.queue_id) as reader:
            waits_on(reader, ["call-7"])
    finally:
        redis_client.acl_deluser(name)


def test_a_time_that_is_no_number_is_refused(client: Client) -> None:
    with pytest.raises(ValueError, match="no number"):
        next(client.wait(["a"], timeout_seconds=float("nan")))


def test_whether_a_worker_has_ever_come(worker: WorkQueue, client: Client) -> None:
    assert not client.has_been_read()
    client.submit(JOB)
    assert not client.has_been_read()
    end(worker)
    assert worker.claim() is None
    assert client.has_been_read()
    assert client.has_been_read("low")


def test_one_result_that_cannot_be_read_does_not_end_the_wait_for_others(
    worker: WorkQueue, client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    ids = client.submit_many([JOB, Job(url=URL)])
    end(worker)
    end(worker)
    redis_client.set(keys.result("call-7"), "not JSON")
    results = dict(client.wait(ids, timeout_seconds=100))
    assert results["call-7"].error.code == "unreadable_result"
    assert results[ids[1]].state is State.DONE
