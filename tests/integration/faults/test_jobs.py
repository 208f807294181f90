"""Entries, cancels, deadlines, crowds and storms before a worker that stays up.

Rows 16 and 18 to 20, 22, 24 and 25.
"""

import asyncio
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count

from support.audio.media import flac_of_silence
from support.faults.scene import BEAT_SECONDS, SLACK_SECONDS, Scene, clip, windows
from support.servers import wait_for
from whisperfleet.client import Cancelled, Client, JobStatus
from whisperfleet.contract.codes import Code
from whisperfleet.contract.events import DoneEvent
from whisperfleet.contract.job import Job
from whisperfleet.contract.result import Result
from whisperfleet.contract.states import State

CACHED = ("--cache-seconds", "600")


def order_of_ends(stage: Scene) -> list[DoneEvent]:
    return [DoneEvent.from_fields(fields) for _, fields in stage.raw.xrange(stage.keys.done)]


def test_row_16_malformed_entries_and_a_key_of_another_type(own_stage: Scene) -> None:
    stage = own_stage
    raw, keys = stage.raw, stage.keys
    raw.set(keys.stream("high"), "no stream")
    raw.rpush(keys.job("call-1"), "no hash")
    with stage.worker() as worker:
        malformed = [
            f"normal-{raw.xadd(keys.stream('normal'), fields).decode()}"
            for fields in ({b"\xff": b"\xfe"}, {"hello": "world"}, {"url": "x", "v": "2.0"})
        ]
        entry = raw.xadd(keys.stream("normal"), {"id": "call-1", "url": "https://example.org"})
        clash = f"normal-{entry.decode()}"
        # What a program writes that cut a text within an emoji.
        cut = {"id": "call-3", "url": "https://example.org", "metadata": '{"title":"\\ud83d"}'}
        raw.xadd(keys.stream("normal"), cut)
        good = stage.client.submit(Job(id="call-2", audio=clip()))
        stage.assert_done([good])
        dead = stage.results([*malformed, clash])
        assert stage.results(["call-3"])["call-3"].error.code is Code.INVALID_JOB
        wait_for(lambda: worker.said("holds no stream"), "the odd key is named in the log")
    assert {result.state for result in dead.values()} == {State.DEAD}
    assert {result.error.code for result in dead.values()} == {
        Code.MALFORMED_ENTRY,
        Code.UNSUPPORTED_VERSION,
    }
    assert raw.lrange(keys.job("call-1"), 0, -1) == [b"no hash"]
    assert raw.get(keys.stream("high")) == b"no stream"
    assert len(list(stage.admin.dead_letters())) == 4
    stage.assert_invariants(accepted=6)


def test_row_18_cancel_queued_running_and_done(own_stage: Scene) -> None:
    stage = own_stage
    client = stage.client
    with stage.worker("--no-vad", "--max-in-flight", "2", "--batch-size", "1") as worker:
        # Uncancelled it would go on for longer than the bound below.
        long = client.submit(Job(audio=windows(16), prompt="sleep 1"))
        stage.wait_until_begun([long])
        others = [client.submit(Job(audio=clip())) for _ in range(3)]
        queued = client.submit(Job(id="call-9", audio=clip()), "low")
        # The others do not wait for the long one, and what ended stays as it is.
        stage.assert_done([*others, queued])
        assert client.status(long).state is State.RUNNING
        assert client.cancel(others[0]) is Cancelled.ENDED

        assert client.cancel(long) is Cancelled.RUNNING
        asked = datetime.now(UTC)
        result = stage.results([long])[long]
        assert result.state is State.CANCELLED
        # A renewal, and the window that the engine has begun.
        assert (result.finished_at - asked).total_seconds() < BEAT_SECONDS + 1 + SLACK_SECONDS
        assert worker.counted("whisperfleet_windows_total") < 16
    waiting = client.submit(Job(audio=clip()))
    assert client.cancel(waiting) is Cancelled.CANCELLED
    with stage.worker() as worker:
        stage.assert_done([client.submit(Job(audio=clip()))])
        assert worker.counted("whisperfleet_jobs_claimed_total") == 1, "the cancelled job was begun"
    assert client.result(waiting).state is State.CANCELLED
    stage.assert_invariants(accepted=7)


def test_row_19_a_deadline_that_has_passed(stage: Scene) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    with stage.worker() as worker:
        job = stage.client.submit(Job(url="https://192.0.2.1/never-asked.ogg", deadline=past))
        result = stage.results([job])[job]
        assert result.state is State.EXPIRED
        assert (result.timing.fetch, result.timing.decode, result.timing.engine) == (0, 0, 0)
        assert worker.counted("whisperfleet_windows_total") == 0
    stage.assert_invariants(accepted=1)


def test_row_20_a_flood_of_high_leaves_room_for_low(stage: Scene) -> None:
    job = Job(audio=clip())
    flood = stage.client.submit_many([job] * 200, "high")
    low = stage.client.submit_many([job] * 2, "low")
    with stage.worker(*CACHED, "--max-in-flight", "1"):
        stage.results([*flood, *low])
    sources = [event.stream for event in order_of_ends(stage)]
    # Low is first with a chance of 1 in 12 each time: none in 150 is a chance of 2e-6.
    assert "low" in sources[:150]
    stage.assert_invariants(accepted=202)


def test_row_20_a_busy_tenant_does_not_starve_a_quiet_one(stage: Scene) -> None:
    queue_id, settings = stage.keys.queue_id, stage.server.settings
    job = Job(audio=clip())
    with (
        Client(settings, queue_id, tenant="busy", own_stream=True) as busy,
        Client(settings, queue_id, tenant="quiet", own_stream=True) as quiet,
    ):
        flood = busy.submit_many([job] * 100)
        single = quiet.submit(job)
        with stage.worker(*CACHED, "--max-in-flight", "1", "--tenants", "busy,quiet"):
            stage.results([*flood, single])
        assert busy.result(single) is None
    ends = [event.id for event in order_of_ends(stage)]
    # Next with a chance of one half each time: later than 60 is a chance of 1e-18.
    assert ends.index(single) < 60
    stage.assert_invariants(accepted=101)


def test_row_22_the_same_id_with_another_payload_or_tenant(own_stage: Scene) -> None:
    stage = own_stage
    queue_id, settings = stage.keys.queue_id, stage.server.settings
    with (
        Client(settings, queue_id, tenant="acme") as acme,
        Client(settings, queue_id, tenant="rival") as rival,
        stage.worker(*CACHED) as worker,
    ):
        acme.submit(Job(id="call-1", audio=clip()))
        ((_, mine),) = acme.wait(["call-1"], timeout_seconds=60)
        assert mine.state is State.DONE

        rival.submit(Job(id="call-1", audio=clip()))
        ((_, theirs),) = rival.wait(["call-1"], timeout_seconds=60)
        acme.submit(Job(id="call-1", audio=clip(), prompt="other words"))
        wait_for(lambda: stage.total("failed") == 2, "the second conflict")

        assert theirs.error.code is Code.CONFLICTING_ID
        assert theirs.transcript is None
        assert rival.result("call-1") is None
        assert rival.status("call-1") is None
        assert acme.result("call-1") == mine
        # The cache keeps tenants apart as well.
        job = rival.submit(Job(audio=clip()))
        assert dict(rival.wait([job], timeout_seconds=60))[job].state is State.DONE
        assert worker.counted('whisperfleet_cache_lookups_total{answer="hit"}') == 0
    stage.assert_invariants(accepted=4)


def test_row_24_a_private_address_and_a_bomb_are_refused_and_not_tried_again(stage: Scene) -> None:
    expected = {
        stage.client.submit(Job(**job)): code
        for job, code in (
            ({"url": "https://169.254.169.254/latest"}, Code.ADDRESS_REFUSED),
            # A name that leads to a private address is what a rebind comes down to.
            ({"url": "https://localhost/a.wav"}, Code.ADDRESS_REFUSED),
            ({"audio": flac_of_silence(6 * 3600, stated=False)}, Code.TOO_LONG),
        )
    }
    with stage.worker("--max-audio-seconds", "60") as worker:
        results = stage.results(list(expected))
        assert worker.counted("whisperfleet_windows_total") == 0
    assert {job_id: result.error.code for job_id, result in results.items()} == expected
    assert {result.state for result in results.values()} == {State.FAILED}
    assert {result.epoch for result in results.values()} == {1}
    stage.assert_invariants(accepted=3)


CALLERS = 8


class Answers:
    """What a client answered, kept by the threads that asked: a cancelled task hears nothing."""

    def __init__(self, client: Client) -> None:
        self.jobs: dict[int, str] = {}
        self.wrong: list[object] = []
        self._client = client
        self._numbers = count()
        self._lock = threading.Lock()

    def submit(self) -> None:
        with self._lock:
            number = next(self._numbers)
        job = Job(audio=clip(), metadata={"number": number})
        self.jobs[number] = self._client.submit(job)

    def ask(self) -> None:
        number, job_id = random.choice(list(self.jobs.items()))
        status = self._client.status(job_id)
        if not isinstance(status, JobStatus) or status.id != job_id:
            self.wrong.append((job_id, status))
        result = self._client.result(job_id)
        if result is not None and not self._belongs(result, job_id, number):
            self.wrong.append((job_id, result))

    @staticmethod
    def _belongs(result: Result, job_id: str, number: int) -> bool:
        return result.id == job_id and result.metadata == {"number": number}


async def storm(answers: Answers, threads: ThreadPoolExecutor) -> int:
    """Ask and send from many tasks, cancel most of them at any moment; return how many."""
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(threads, answers.submit)
    cancelled = 0
    for _ in range(15):
        tasks = [
            asyncio.ensure_future(loop.run_in_executor(threads, call))
            for call in (answers.submit, answers.ask, answers.ask, answers.ask) * 4
        ]
        await asyncio.sleep(random.uniform(0, 0.01))
        for task in random.sample(tasks, 12):
            cancelled += task.cancel()
        for end in await asyncio.gather(*tasks, return_exceptions=True):
            assert end is None or isinstance(end, asyncio.CancelledError), end
    return cancelled


def test_row_25_a_storm_of_asyncio_cancels_on_one_client(stage: Scene) -> None:
    def connections() -> int:
        return len([one for one in stage.raw.client_list() if one["name"] == "storm"])

    with stage.worker(*CACHED), ThreadPoolExecutor(CALLERS) as threads:
        with Client(stage.server.settings, stage.keys.queue_id) as client:
            client._redis.connection_pool.connection_kwargs["client_name"] = "storm"
            answers = Answers(client)
            assert asyncio.run(storm(answers, threads)) > 0
            most = connections()
            asyncio.run(storm(answers, threads))
            threads.shutdown()
            assert answers.wrong == []
            assert 1 <= most <= CALLERS
            assert connections() <= CALLERS, "a cancelled call left its connection behind"
            ids = list(answers.jobs.values())
            assert len(set(ids)) == len(ids)
        wait_for(lambda: connections() == 0, "a closed client has no connections")
        results = stage.results(ids)
    for number, job_id in answers.jobs.items():
        assert results[job_id].metadata == {"number": number}
    stage.assert_invariants(accepted=len(ids))
