"""Windows whose first text does not suffice: nobody waits for them longer than for one pass."""

import gc
import itertools
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import CancelledError, wait
from contextlib import contextmanager

import pytest
from prometheus_client import REGISTRY

from support.servers import wait_for
from support.worker.engines import RESULT, LoopingEngine, window
from whisperfleet.contract.keys import DEFAULT_PRIORITIES
from whisperfleet.errors import EngineLostError
from whisperfleet.worker.batcher import Batcher


@contextmanager
def held(clock: Callable[[], float] = time.monotonic):
    """A line whose engine is held in a call, so that all that follows must wait."""
    engine = LoopingEngine()
    with Batcher(engine, 1000, DEFAULT_PRIORITIES, clock=clock) as line, line.join() as job:
        job.submit(window(1, "held"))
        wait_for(lambda: engine.seen == [["held"]], "the engine has begun")
        yield line, engine
        engine.gate.release(1000)


@pytest.fixture
def busy():
    with held() as both:
        yield both


def submit(line: Batcher, *names: str, priority: str | None = None, seconds: float = 1):
    """Put windows of one job in line."""
    with line.join(priority) as job:
        return [job.submit(window(seconds, name)) for name in names]


def went_on(engine: LoopingEngine, calls: int) -> None:
    """Let the engine end a call, and wait until so many have begun in all."""
    engine.gate.release()
    wait_for(lambda: len(engine.seen) >= calls, f"call {calls} has begun")


def test_the_neighbours_of_a_looping_window_are_answered_after_its_first_pass(busy):
    line, engine = busy
    one, looping, other = submit(line, "a", "loop+5", "b")
    engine.gate.release(2)
    assert (one.result(10), other.result(10)) == (RESULT, RESULT)
    wait_for(lambda: engine.seen[2:] == [["loop+5:1"]], "the window is tried again")
    assert not looping.done()
    engine.gate.release(5)
    assert looping.result(10) is RESULT
    assert engine.seen[2:] == [[f"loop+5:{number}"] for number in range(1, 6)]


def test_a_late_clip_waits_for_one_pass(busy):
    line, engine = busy
    (looping,) = submit(line, "loop+5")
    went_on(engine, 2)
    went_on(engine, 3)
    assert engine.seen[-1] == ["loop+5:1"]
    (clip,) = submit(line, "clip")
    went_on(engine, 4)
    assert engine.seen[-1] == ["clip"]
    engine.gate.release()
    assert clip.result(10) is RESULT
    assert not looping.done()


def test_new_windows_and_unsettled_ones_take_turns_while_both_wait(busy):
    """Neither a flow of new windows nor one of loops without end keeps the others waiting."""
    line, engine = busy
    engine.batch_size = 2
    futures = [
        *submit(line, *(f"loop{number}+9" for number in range(4))),
        *submit(line, *(f"new{number}" for number in range(16))),
    ]
    engine.gate.release(1000)
    assert all(future.result(10) is RESULT for future in futures)
    retried = ["loop" in call[0] and ":" in call[0] for call in engine.seen]
    last_new = len(retried) - retried[::-1].index(False)
    first_retry = retried.index(True)
    runs = [len(list(run)) for _, run in itertools.groupby(retried[first_retry:last_new])]
    assert len(runs) > 10
    assert set(runs) == {1}, engine.seen


def test_unsettled_windows_of_one_temperature_share_a_call(busy):
    line, engine = busy
    engine.retry_size = 3
    line._affordable_retries = 3
    futures = submit(line, "a+2", "b+1", "c+2", "d+1")
    engine.gate.release(1000)
    assert all(future.result(10) for future in futures)
    assert engine.seen[2:] == [["a+2:1", "b+1:1", "c+2:1"], ["d+1:1"], ["a+2:2", "c+2:2"]]


def test_temperatures_do_not_mix_and_the_first_in_line_says_which_is_next(busy):
    line, engine = busy
    engine.batch_size, line._affordable_retries = 1, 2
    futures = submit(line, "a+3", "b+2")
    engine.gate.release(1000)
    assert all(future.result(10) for future in futures)
    assert engine.seen[2:] == [["a+3:1"], ["b+2"], ["a+3:2"], ["b+2:1"], ["a+3:3"], ["b+2:2"]]


def test_the_loops_of_a_long_file_do_not_hold_up_those_of_others(busy):
    line, engine = busy
    engine.retry_size = 1
    futures = submit(line, *(f"long{number}+1" for number in range(4)))
    # A batch of its own, because it came alone: after that of the file, before its four loops end.
    futures += submit(line, "clip+1", priority="high")
    engine.gate.release(1000)
    assert all(future.result(10) for future in futures)
    retried = [call[0] for call in engine.seen if ":" in call[0]]
    assert retried.index("clip+1:1") <= 1


def test_an_unsettled_window_that_nobody_wants_has_no_further_pass(busy):
    line, engine = busy
    kept = []
    engine.kept = lambda found: kept.append(weakref.ref(found))
    wanted, given_up = submit(line, "wanted+2", "given-up+5")
    went_on(engine, 2)
    went_on(engine, 3)
    assert engine.seen[-1] == ["wanted+2:1"]
    assert given_up.cancel()
    engine.gate.release(1000)
    assert wanted.result(10) is RESULT
    wait_for(lambda: gone(kept), "nothing is kept of either while the engine waits")
    assert len(kept) == 3
    assert line._audio_seconds == 0
    assert engine.seen[3:] == [["wanted+2:2"]]


def gone(kept) -> bool:
    gc.collect()
    return all(one() is None for one in kept)


@pytest.mark.parametrize("passes", [0, 1], ids=["in its first pass", "in a further pass"])
def test_closing_leaves_nobody_waiting_for_a_further_pass(passes: int):
    kept = []
    engine = LoopingEngine(retry_size=1, kept=lambda found: kept.append(weakref.ref(found)))
    line = Batcher(engine, 1000)
    with line, line.join() as job:
        futures = [job.submit(window(1, name)) for name in ("a+5", "b+5")]
        wait_for(lambda: engine.seen, "the engine has begun")
        line._affordable_windows = 2
        for _ in range(2 * passes):
            went_on(engine, len(engine.seen) + 1)
        # Set while the line closes: the engine's call must end for the thread to be joined.
        threading.Timer(0.1, engine.gate.release).start()
    assert not wait(futures, 10).not_done, "who waits for several is woken"
    for future in futures:
        with pytest.raises(CancelledError):
            future.result(0)
    wait_for(lambda: gone(kept), "nothing is kept")


def test_unsettled_windows_have_been_before_an_engine_that_is_lost():
    engine = LoopingEngine(batch_size=4, retry_size=1)
    engine.answers = []
    line = Batcher(engine, 1000)
    with line:
        first, second = submit(line, "a+5", "b+5")
        went_on(engine, 2)
        wait_for(lambda: engine.seen[-1] == ["a+5:1"], "the first is tried again")
        went_on(engine, 3)
        assert engine.seen[-1] == ["b+5"]
        (new,) = submit(line, "new")
        # One of the two is tried again and the other waits, unsettled, as the device breaks.
        went_on(engine, 4)
        assert ":" in engine.seen[-1][0]
        engine.answers = [RuntimeError("the device fell off")]
        engine.gate.release()
        for future in (first, second):
            with pytest.raises(EngineLostError, match="fell off"):
                future.result(10)
        with pytest.raises(CancelledError):
            new.result(10)
        assert not wait([new], 10).not_done, "who waits for several is woken"


def test_a_window_counts_once_and_its_further_passes_apart(busy):
    names = ("windows_total", "audio_seconds_total", "fallback_passes_total")
    names += ("batch_windows_sum", "window_wait_seconds_count")

    def counted() -> list[float]:
        return [REGISTRY.get_sample_value(f"whisperfleet_{name}") or 0.0 for name in names]

    line, engine = busy
    before = counted()
    futures = submit(line, "a", "loop+3", seconds=2)
    engine.gate.release(1000)
    assert all(future.result(10) for future in futures)
    # With the window that held the engine, of one second.
    grown = [now - then for now, then in zip(counted(), before, strict=True)]
    assert grown == [3, 5, 3, 3, 2]


@pytest.mark.parametrize("seconds", [30, 2])
def test_an_unsettled_window_takes_the_room_of_half_a_minute(seconds: int):
    """What is kept of it is as large, however short it is."""
    engine = LoopingEngine(batch_size=1)
    with Batcher(engine, 65) as line, line.join() as job:
        looping = [job.submit(window(seconds, name)) for name in ("a+2", "b+2")]
        wait_for(lambda: engine.seen, "the engine has begun")
        for calls in range(2, 5):
            went_on(engine, calls)
        assert engine.seen[-1] == ["a+2:2"]
        third = threading.Thread(target=job.submit, args=(window(10, "c"),))
        third.start()
        third.join(0.2)
        assert third.is_alive(), "70 s of audio are in a line that holds 65"
        engine.gate.release()
        third.join(10)
        assert not third.is_alive()
        engine.gate.release(10)
        assert all(future.result(10) is RESULT for future in looping)
    assert line._audio_seconds == 0


class Clock:
    """One that stands still unless it is put forward."""

    def __init__(self) -> None:
        self.now = time.monotonic()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timed(clock):
    with held(clock) as both:
        yield both


def test_slow_passes_hold_few_windows_and_say_nothing_of_first_ones(timed, clock):
    line, engine = timed
    engine.retry_size = 4
    futures = submit(line, "a+1", "b+1", "c+1", "d+1")
    went_on(engine, 2)
    went_on(engine, 3)
    futures += submit(line, "e", "f", "g", "h")
    # A further pass over one window takes 14 s: two are the most that a call may hold.
    clock.now += 14
    engine.gate.release(1000)
    assert all(future.result(10) for future in futures)
    assert [len(call) for call in engine.seen] == [1, 4, 1, 4, 2, 1]
