"""The producer's side: following, dead letters, figures, other people's jobs."""

import time
from datetime import UTC, datetime, timedelta
from threading import Thread

import pytest
import redis

from support.queue.consumers import MakeWorker, done, take
from support.servers import assert_invariants, wait_for
from whisperfleet.client import Admin, Cancelled, Client, Redriven, waiting
from whisperfleet.contract.codes import Code
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import Keys
from whisperfleet.contract.states import State
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.errors import TransientError
from whisperfleet.queue import Buried, Concluded, Released, Retried, WorkQueue

URL = "https://media.example.org/a.wav"
JOB = Job(url=URL)


def test_the_status_follows_a_job_through_its_life(worker: WorkQueue, client: Client) -> None:
    job_id = client.submit(JOB, priority="high")
    waiting = client.status(job_id)
    assert (waiting.state, waiting.stream, waiting.epoch) == (State.QUEUED, "high", 0)
    assert abs(waiting.enqueued_at - datetime.now(UTC)) < timedelta(minutes=1)

    claim = worker.claim()
    running = client.status(job_id)
    assert (running.state, running.worker, running.epoch) == (State.RUNNING, "worker-1", 1)
    assert waiting.enqueued_at <= running.claimed_at

    worker.settle(claim, Concluded(done(claim)))
    ended = client.status(job_id)
    assert (ended.state, ended.code) == (State.DONE, None)
    assert running.claimed_at <= ended.finished_at


@pytest.mark.parametrize("job_id", ["call-7", "normal-1-1", "nowhere-1-1", "normal:acme-1-1", "ä"])
def test_what_is_not_known_has_no_status(client: Client, job_id: str) -> None:
    assert client.status(job_id) is None
    assert client.result(job_id) is None


def test_wait_yields_each_job_as_it_ends(worker: WorkQueue, client: Client) -> None:
    ids = client.submit_many([JOB] * 3)
    first, second, third = (worker.claim() for _ in ids)
    worker.settle(second, Concluded(done(second)))
    answers = client.wait(ids, timeout_seconds=30)

    assert next(answers)[0] == ids[1]
    worker.settle(third, Concluded(done(third)))
    assert next(answers)[0] == ids[2]
    worker.settle(first, Concluded(done(first)))
    job_id, result = next(answers)
    assert (job_id, result.state) == (ids[0], State.DONE)
    assert next(answers, None) is None


def test_wait_hears_of_a_job_while_it_blocks(
    worker: WorkQueue, client: Client, server: EmbeddedServer
) -> None:
    job_id = client.submit(JOB)
    claim = worker.claim()

    def finish() -> None:
        _wait_for_a_blocked_client(server)
        worker.settle(claim, Concluded(done(claim)))

    finisher = Thread(target=finish)
    finisher.start()
    assert dict(client.wait([job_id], timeout_seconds=30)).keys() == {job_id}
    finisher.join()


def test_wait_without_an_end_gives_up_a_server_that_is_gone(
    own_server: EmbeddedServer, queue_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "OUTAGE_SECONDS", 0.3)
    with Client(own_server.settings, queue_id) as producer:
        answers = producer.wait([producer.submit(JOB)])
        killer = Thread(target=lambda: (_wait_for_a_blocked_client(own_server), own_server.kill()))
        killer.start()
        with pytest.raises(redis.ConnectionError):
            next(answers)
        killer.join()


def test_wait_does_not_insist_where_nobody_answers_at_first(
    own_server: EmbeddedServer, queue_id: str
) -> None:
    own_server.kill()
    with Client(own_server.settings, queue_id) as producer:
        began = time.monotonic()
        with pytest.raises(redis.ConnectionError):
            next(producer.wait(["normal-1-1"], timeout_seconds=100))
        assert time.monotonic() - began < 50


def test_wait_does_not_insist_on_credentials_that_are_refused(
    own_server: EmbeddedServer, queue_id: str
) -> None:
    with own_server.settings.connect() as admin, Client(own_server.settings, queue_id) as producer:
        answers = producer.wait([producer.submit(JOB)], timeout_seconds=100)

        def lock_out() -> None:
            _wait_for_a_blocked_client(own_server)
            admin.config_set("requirepass", "another")
            admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

        locker = Thread(target=lock_out)
        locker.start()
        with pytest.raises(redis.AuthenticationError):
            next(answers)
        locker.join()


def _wait_for_a_blocked_client(server: EmbeddedServer) -> None:
    with server.settings.connect() as connection:
        wait_for(lambda: connection.info("clients")["blocked_clients"] >= 1, "a client that waits")


def test_wait_says_who_is_late(client: Client) -> None:
    job_id = client.submit(JOB)
    with pytest.raises(TimeoutError, match=job_id):
        list(client.wait([job_id], timeout_seconds=0.05))


def test_a_tenant_that_cannot_be_one_is_refused(server: EmbeddedServer, queue_id: str) -> None:
    with pytest.raises(ValueError, match="cannot name a priority or a tenant"):
        Client(server.settings, queue_id, tenant="a\nb")


def test_redriven_twice_is_one_new_run(
    worker: WorkQueue, client: Client, admin: Admin, redis_client: redis.Redis, keys: Keys
) -> None:
    client.submit(Job(id="call-7", url=URL, language="en"), priority="low")
    job_id = client.submit(JOB)
    for _ in range(2):
        worker.settle(worker.claim(), Buried(Code.INTERNAL, "it broke"))
    letters = dict(admin.dead_letters())
    assert {letter.id for letter in letters.values()} == {"call-7", job_id}

    for letter_id in letters:
        assert admin.redrive(letter_id) is Redriven.REDRIVEN
        assert admin.redrive(letter_id) is Redriven.UNKNOWN

    assert client.result("call-7") is None
    assert client.status("call-7").state is State.QUEUED
    claims = {claim.job_id: claim for claim in (worker.claim(), worker.claim())}
    assert worker.claim() is None
    assert claims.keys() == {"call-7", job_id}
    assert claims["call-7"].priority == "low"
    assert claims["call-7"].epoch == 2
    assert Job.from_fields(claims["call-7"].fields).language == "en"
    # The producer sends it once more, as after a lost reply: it is still the same job.
    client.submit(Job(id="call-7", url=URL, language="en"), priority="low")
    assert worker.claim() is None
    for claim in claims.values():
        worker.settle(claim, Concluded(done(claim)))
    assert client.status("call-7").state is State.DONE
    assert list(admin.dead_letters()) == []
    assert_invariants(redis_client, keys, accepted=2, redriven=2)


def test_a_redrive_does_not_need_the_record_of_the_job(
    worker: WorkQueue,
    client: Client,
    admin: Admin,
    acme: Client,
    redis_client: redis.Redis,
    keys: Keys,
) -> None:
    client.submit(Job(id="call-7", url=URL))
    worker.settle(worker.claim(), Buried(Code.INTERNAL, "it broke"))
    redis_client.delete(keys.job("call-7"), keys.result("call-7"))
    ((letter_id, _),) = admin.dead_letters()

    assert admin.redrive(letter_id) is Redriven.REDRIVEN
    # It is known at once what it is and whose: the same job sent again is a duplicate of it.
    client.submit(Job(id="call-7", url=URL))
    assert acme.cancel("call-7") is Cancelled.UNKNOWN

    claim = worker.claim()
    assert (claim.job_id, claim.epoch) == ("call-7", 2)
    assert worker.claim() is None
    assert admin.stats().totals["duplicates"] == 1
    worker.settle(claim, Concluded(done(claim)))
    assert_invariants(redis_client, keys, accepted=1, redriven=1)


def test_a_dead_letter_without_its_job_cannot_be_redriven(
    worker: WorkQueue, client: Client, admin: Admin, redis_client: redis.Redis
) -> None:
    client.submit(JOB)
    claim = worker.claim()
    redis_client.xadd(claim.stream, {f"f{n}": "v" for n in range(200)})
    worker.settle(worker.claim(), Buried(Code.MALFORMED_ENTRY, "too many fields"))
    ((letter_id, _),) = admin.dead_letters()

    assert admin.redrive(letter_id) is Redriven.EMPTY
    assert admin.redrive("0-1") is Redriven.UNKNOWN
    assert admin.redrive("no letter") is Redriven.UNKNOWN
    assert admin.dead_letter(letter_id).code is Code.MALFORMED_ENTRY
    assert admin.dead_letter("0-1") is None
    assert len(dict(admin.dead_letters())) == 1
    worker.settle(claim, Concluded(done(claim)))


def test_a_cancelled_dead_job_stays_dead_and_a_redriven_one_can_be_cancelled(
    worker: WorkQueue, client: Client, admin: Admin, redis_client: redis.Redis, keys: Keys
) -> None:
    client.submit(Job(id="call-7", url=URL))
    worker.settle(worker.claim(), Buried(Code.INTERNAL, "it broke"))
    assert client.cancel("call-7") is Cancelled.ENDED
    ((letter_id, _),) = admin.dead_letters()
    admin.redrive(letter_id)

    assert client.cancel("call-7") is Cancelled.CANCELLED

    assert worker.claim() is None
    assert redis_client.xlen(keys.stream("normal")) == 0


def test_stats_count_what_waits_and_what_runs(
    worker: WorkQueue, client: Client, admin: Admin
) -> None:
    assert [(s.length, s.running) for s in admin.stats().streams] == [(0, 0)] * 3
    client.submit_many([JOB] * 3)
    assert [(s.length, s.running) for s in admin.stats().streams] == [(0, 0), (3, 0), (0, 0)]
    claim = worker.claim()
    worker.settle(worker.claim(), Buried(Code.INTERNAL, "it broke"))

    stats = admin.stats()

    high, normal, _ = stats.streams
    assert (high.name, high.oldest_enqueued_at) == ("high", None)
    assert (normal.name, normal.length, normal.running) == ("normal", 2, 1)
    assert normal.oldest_enqueued_at.timestamp() >= claim.enqueued_at
    assert stats.dead_letters == 1
    worker.settle(claim, Retried(TransientError(Code.FETCH_FAILED, "503"), delay_seconds=30))
    client.submit_many([Job(id=f"own-{n}", url=URL) for n in range(2)])
    worker.settle(worker.claim(), Released())
    waiting, running = take(worker), take(worker)
    worker.settle(waiting, Released())
    assert running.job_id != waiting.job_id
    _, normal, _ = admin.stats().streams
    assert (normal.length, normal.running) == (4, 1), "what was handed back runs nowhere"
    assert stats.totals["dead"] == 1


def test_stats_and_purge_reach_the_highest_id_that_an_entry_can_have(
    worker: WorkQueue, admin: Admin, redis_client: redis.Redis, keys: Keys
) -> None:
    # A producer chose it, and with it the end of the stream: nothing can be added behind.
    for entry_id in ("1-1", "18446744073709551615-18446744073709551615"):
        redis_client.xadd(keys.stream("normal"), {"url": JOB.url}, id=entry_id)
    assert admin.stats().streams[1].length == 2
    held = [take(worker), take(worker)]
    assert admin.stats().streams[1].running == 2
    for claim in held:
        worker.settle(claim, Released())
    assert admin.purge() == 2


@pytest.mark.parametrize("key", ["in:normal", "meta", "running"])
def test_stats_name_a_key_that_holds_something_else(
    admin: Admin, redis_client: redis.Redis, keys: Keys, key: str
) -> None:
    redis_client.set(f"{keys.prefix}{key}", "x")
    with pytest.raises(redis.ResponseError, match=f"{key} holds a string where a"):
        admin.stats()


def test_a_tenant_sees_nothing_of_anothers(
    worker: WorkQueue,
    client: Client,
    admin: Admin,
    acme: Client,
    server: EmbeddedServer,
    queue_id: str,
) -> None:
    own = acme.submit(JOB)
    other = client.submit(Job(url=URL, tenant="globex"))
    assert acme.status(own).tenant == "acme"
    assert acme.status(other) is None
    assert acme.cancel(other) is Cancelled.UNKNOWN
    for claim in (worker.claim(), worker.claim()):
        assert claim.tenant in {"acme", "globex"}
        if claim.tenant == "globex":
            assert acme.status(other) is None
            assert acme.cancel(other) is Cancelled.UNKNOWN
            worker.settle(claim, Buried(Code.INTERNAL, "it broke"))
        else:
            worker.settle(claim, Concluded(done(claim)))

    assert acme.result(own).state is State.DONE
    assert acme.result(other) is None
    ((letter_id, _),) = admin.dead_letters()
    with Admin(server.settings, queue_id, tenant="acme") as acmes:
        assert list(acmes.dead_letters()) == []
        assert acmes.redrive(letter_id) is Redriven.UNKNOWN
    with pytest.raises(ValueError, match="globex"):
        acme.submit(Job(url=URL, tenant="globex"))


def test_a_tenant_may_have_streams_of_its_own(
    make_worker: MakeWorker, server: EmbeddedServer, queue_id: str
) -> None:
    worker = make_worker(tenants=["acme"])
    own = {"tenant": "acme", "own_stream": True}
    with (
        Client(server.settings, queue_id, **own) as acme,
        Admin(server.settings, queue_id, **own) as acmes,
    ):
        job_id = acme.submit(JOB)
        assert job_id.startswith("normal:acme-")
        assert acme.status(job_id).state is State.QUEUED
        claim = take(worker)
        assert acmes.stats().streams[1].name == "normal:acme"
        worker.settle(claim, Concluded(done(claim)))
        assert acme.result(job_id).state is State.DONE
        assert acme.cancel(acme.submit(JOB)) is Cancelled.CANCELLED


def test_a_priority_that_is_not_there_is_named(client: Client) -> None:
    with pytest.raises(ValueError, match=r"'urgent'.*high, normal, low"):
        client.submit(JOB, priority="urgent")
