"""The line before the engine: batches, bounds and turns; nobody is left waiting."""

import threading
import time
from concurrent.futures import CancelledError

import pytest
from prometheus_client import REGISTRY

from support.servers import wait_for
from support.worker.engines import RESULT, GatedEngine, window
from whisperfleet.contract.codes import Code
from whisperfleet.contract.keys import DEFAULT_PRIORITIES
from whisperfleet.engine import WindowResult
from whisperfleet.errors import EngineLostError, InputError
from whisperfleet.worker.batcher import Batcher, BatchTiming


@pytest.fixture
def busy():
    """A line whose engine is held in a call, so that all that follows must wait."""
    engine = GatedEngine()
    with Batcher(engine, 1000, DEFAULT_PRIORITIES) as line, line.join() as job:
        job.submit(window(1, "held"))
        wait_for(lambda: engine.seen == [["held"]], "the engine has begun")
        yield line, engine
        engine.gate.release(1000)


def test_what_waits_while_the_engine_is_busy_shares_the_next_calls(busy):
    line, engine = busy
    futures = []
    for name in "abcdef":
        with line.join() as job:
            futures.append(job.submit(window(1, name)))
    engine.gate.release(3)
    assert all(future.result(10) is RESULT for future in futures)
    assert engine.seen[1:] == [["a", "b", "c", "d"], ["e", "f"]]


def test_answers_go_to_those_who_asked(busy):
    line, engine = busy
    other = WindowResult((), 7, "de", 1.0, 0.0, 0.0, 0.0, 0.0)
    failure = InputError(Code.UNKNOWN_LANGUAGE, "this window is at fault")
    engine.answers = [[RESULT], [RESULT, failure, other]]
    with line.join() as job:
        futures = [job.submit(window(1)) for _ in range(3)]
        engine.gate.release(2)
        assert futures[0].result(10) is RESULT
        with pytest.raises(InputError, match="this window"):
            futures[1].result(10)
        assert futures[2].result(10) is other


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (RuntimeError("the device fell off"), "the device fell off"),
        ([RESULT, RESULT], "1 windows have 2 answers"),
    ],
)
def test_an_engine_that_is_gone_closes_the_line(answer, sentence, caplog):
    engine = GatedEngine(answer, batch_size=1)
    told = []
    line = Batcher(engine, 1000, on_lost=lambda: told.append(line.lost))
    with line, line.join() as job:
        running, waiting = job.submit(window(1)), job.submit(window(1))
        engine.gate.release(2)
        with pytest.raises(EngineLostError, match=sentence):
            running.result(10)
        with pytest.raises(CancelledError):
            waiting.result(10)
        with pytest.raises(CancelledError):
            job.submit(window(1))
    assert str(line.lost) == sentence
    assert told == [line.lost]
    assert len(engine.seen) == 1, "an engine that is gone is not asked again"
    assert f"the engine is gone, and its worker ends: {sentence}" in caplog.messages


def test_an_engine_thread_that_dies_is_an_engine_that_is_gone():
    class Panic(BaseException):
        """What a library in Rust raises is no Exception."""

    engine = GatedEngine(Panic("unwrapped a None"))
    engine.gate.release(10)
    lost = threading.Event()
    with Batcher(engine, 1000, on_lost=lost.set) as line, line.join() as job:
        future = job.submit(window(1))
        assert lost.wait(10)
        assert isinstance(line.lost, Panic)
        with pytest.raises(EngineLostError):
            future.result(10)


def test_urgent_jobs_go_first(busy):
    line, engine = busy
    futures = []
    for priority in ("low", "normal", "high"):
        with line.join(priority) as job:
            futures += [job.submit(window(1, f"{priority}{number}")) for number in range(2)]
    engine.gate.release(3)
    assert all(future.result(10) for future in futures)
    assert engine.seen[1:] == [["high0", "high1", "normal0", "normal1"], ["low0", "low1"]]


def test_a_short_clip_waits_only_for_the_batch_that_runs(busy):
    line, engine = busy
    with line.join() as long, line.join() as short:
        for number in range(long.capacity):
            long.submit(window(30, f"file{number}"))
        clip = short.submit(window(2, "clip"))
        engine.gate.release(2)
        assert clip.result(10) is RESULT
        assert engine.seen[1] == ["clip"]
        engine.gate.release(10)


def test_the_line_holds_no_more_audio_than_it_may():
    engine = GatedEngine(batch_size=1)
    with Batcher(engine, 60) as line, line.join() as job:
        job.submit(window(30))
        job.submit(window(30))
        third = threading.Thread(target=job.submit, args=(window(10),))
        third.start()
        third.join(0.2)
        assert third.is_alive(), "70 s of audio are in a line that holds 60"
        engine.gate.release()
        third.join(10)
        assert not third.is_alive()
        engine.gate.release(2)
        wait_for(lambda: len(engine.seen) == 3, "all windows are answered")


def test_one_window_of_each_job_fits_however_full_the_line_is(busy):
    line, engine = busy
    with line.join() as long:
        for _ in range(33):
            long.submit(window(30))
        blocked = threading.Thread(target=long.submit, args=(window(30),))
        blocked.start()
        with line.join() as short:
            future = short.submit(window(30, "short"))
            assert not future.done()
        assert blocked.is_alive()
        engine.gate.release(1000)
        assert future.result(10) is RESULT
        blocked.join(10)


def test_a_window_longer_than_the_bound_still_gets_through():
    engine = GatedEngine()
    engine.gate.release(2)
    with Batcher(engine, 5) as line, line.join() as job:
        assert job.submit(window(30)).result(10) is RESULT
        assert job.submit(window(30)).result(10) is RESULT


def test_an_idle_engine_does_not_wait_for_nobody(patient):
    line, _ = patient
    with line.join() as job:
        assert job.submit(window(1)).result(10) is RESULT


def test_an_idle_engine_waits_for_jobs_that_are_on_their_way(patient):
    line, engine = patient
    with line.join() as first, line.join() as second:
        one = first.submit(window(1, "a"))
        wait_for(lambda: line.lingered == ["known", "a"], "the engine waits for the second job")
        two = second.submit(window(1, "b"))
        assert (one.result(10), two.result(10)) == (RESULT, RESULT)
    assert engine.seen == [["known"], ["a", "b"]]


def test_a_job_that_has_ended_is_not_waited_for(patient):
    line, _ = patient
    with line.join() as first:
        with line.join():
            one = first.submit(window(1, "a"))
            wait_for(lambda: line.lingered == ["known", "a"], "the engine waits for the other job")
        assert one.result(10) is RESULT


class WatchedQueue(Batcher):
    """A line that says for what it has lingered, before it does.

    It holds its lock then: who puts a window in line afterwards comes while it lingers.
    """

    def __init__(self, engine: GatedEngine) -> None:
        # It would wait for a minute.
        super().__init__(engine, 1000, timing=BatchTiming(linger_seconds=60.0, linger_share=1e9))
        self.lingered: list[str] = []

    def _linger(self) -> None:
        self.lingered += [entry.item.window.request.prompt for entry in self._new._entries]
        super()._linger()


@pytest.fixture
def patient():
    """A line whose engine is free, and that would wait for a minute."""
    engine = GatedEngine()
    engine.gate.release(1000)
    with WatchedQueue(engine) as line:
        with line.join() as job:
            # How long a window takes is known after one.
            assert job.submit(window(1, "known")).result(10) is RESULT
        yield line, engine


def test_it_waits_no_longer_than_it_should():
    """The second job is on its way and never comes."""
    timing = BatchTiming(linger_share=1e9)
    engine = GatedEngine()
    engine.gate.release(1000)
    waits = []
    with Batcher(engine, 1000, timing=timing) as line, line.join() as first, line.join():
        # How long a window takes is known after one.
        assert first.submit(window(1)).result(10) is RESULT
        for _ in range(5):
            began = time.monotonic()
            assert first.submit(window(1)).result(10) is RESULT
            waits.append(time.monotonic() - began)
    # Whatever else this machine does may add to any of them.
    assert timing.linger_seconds <= min(waits) < 10 * timing.linger_seconds


def test_it_waits_a_small_share_of_what_a_batch_takes():
    timing = BatchTiming(linger_seconds=60.0)
    engine = GatedEngine()
    engine.gate.release(1000)
    # A batch takes next to nothing here, so a tenth of it is nothing to wait for.
    with Batcher(engine, 1000, timing=timing) as line, line.join() as first, line.join():
        assert first.submit(window(1)).result(10) is RESULT
        assert first.submit(window(1)).result(10) is RESULT


@pytest.fixture
def full():
    """A line that is full and whose engine is held in a call."""
    engine = GatedEngine(batch_size=1)
    with Batcher(engine, 30) as line, line.join() as job:
        job.submit(window(30))
        wait_for(lambda: engine.seen, "the engine has begun")
        yield line, job, engine
        engine.gate.release(10)


def test_who_waits_for_room_in_the_line_looks_whether_to_stop(full):
    _, job, _ = full

    def look() -> None:
        raise KeyboardInterrupt

    job.owner.items = 1  # one window of each job always fits
    with pytest.raises(KeyboardInterrupt):
        job.submit(window(30), look)


def test_who_waits_for_room_in_the_line_learns_that_it_is_closed(full):
    line, job, engine = full
    looks = []
    refused = []

    def put() -> None:
        try:
            job.submit(window(30), lambda: looks.append(1))
        except CancelledError:
            refused.append(1)

    job.owner.items = 1
    blocked = threading.Thread(target=put)
    blocked.start()
    wait_for(lambda: looks, "it waits for room")
    line._close()
    blocked.join(10)
    assert refused
    assert len(engine.seen) == 1


def test_windows_that_nobody_wants_leave_their_places_to_others(busy):
    line, engine = busy
    with line.join() as given_up, line.join() as other:
        futures = [given_up.submit(window(1)) for _ in range(7)]
        kept = [other.submit(window(1, name)) for name in "abcd"]
        assert all(future.cancel() for future in futures)
        engine.gate.release(2)
        assert all(future.result(10) is RESULT for future in kept)
    assert engine.seen[1:] == [["a", "b", "c", "d"]]
    assert line._audio_seconds == 0


def test_a_batch_leaves_out_who_has_given_up(busy):
    line, engine = busy
    with line.join() as job:
        kept, dropped = job.submit(window(1, "kept")), job.submit(window(1, "dropped"))
        assert dropped.cancel()
        engine.gate.release(2)
        assert kept.result(10) is RESULT
    assert engine.seen[1] == ["kept"]


def test_batches_are_measured(busy):
    def seen(name: str) -> float:
        return REGISTRY.get_sample_value(name) or 0.0

    line, engine = busy
    before = seen("whisperfleet_batch_windows_sum"), seen("whisperfleet_window_wait_seconds_count")
    with line.join() as job:
        futures = [job.submit(window(1)) for _ in range(3)]
        engine.gate.release(2)
        assert all(future.result(10) for future in futures)
    assert seen("whisperfleet_batch_windows_sum") == before[0] + 1 + 3
    assert seen("whisperfleet_window_wait_seconds_count") == before[1] + 3
    assert seen("whisperfleet_batch_limit") == 4


def test_closing_leaves_nobody_waiting():
    engine = GatedEngine(batch_size=1)
    line = Batcher(engine, 1000)
    with line, line.join() as job:
        running, waiting = job.submit(window(1)), job.submit(window(1))
        wait_for(lambda: engine.seen, "the engine has begun")
        # Set while the line closes: the engine's call must end for the thread to be joined.
        threading.Timer(0.1, engine.gate.release).start()
    assert running.result(10) is RESULT
    with pytest.raises(CancelledError):
        waiting.result(0)
    with pytest.raises(CancelledError):
        job.submit(window(1))


@pytest.mark.parametrize(("seconds", "windows"), [(40.0, 1), (14.0, 2), (0.1, 4)])
def test_a_batch_of_a_slow_model_is_small(seconds: float, windows: int):
    engine = GatedEngine()
    clock = Clock()
    with Batcher(engine, 1000, clock=clock) as line, line.join() as job:
        futures = [job.submit(window(1)) for _ in range(6)]
        wait_for(lambda: len(engine.seen) == 1, "the first call has begun")
        clock.now += seconds
        engine.gate.release(10)
        assert all(future.result(10) for future in futures)
    assert [len(call) for call in engine.seen[:2]] == [1, windows]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_call_that_does_not_return_shows():
    engine = GatedEngine()
    with Batcher(engine, 1000) as line, line.join() as job:
        assert line.run_started is None
        future = job.submit(window(1))
        wait_for(lambda: line.run_started is not None, "the call shows")
        engine.gate.release()
        future.result(10)
        wait_for(lambda: line.run_started is None, "the call is over")


def test_free_memory_is_looked_at_after_each_batch_and_where_none_comes():
    looks = threading.Semaphore(0)
    engine = GatedEngine()
    engine.gate.release(1000)
    with Batcher(engine, 1000, return_memory=looks.release) as line, line.join() as job:
        for _ in range(20):
            assert job.submit(window(1)).result(10) is RESULT
            assert looks.acquire(timeout=10)
    often = BatchTiming(memory_seconds=0.05)
    with Batcher(engine, 1000, timing=often, return_memory=looks.release):
        assert looks.acquire(timeout=10)
        assert looks.acquire(timeout=10)
