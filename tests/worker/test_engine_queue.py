"""The line before the engine: bounded by audio, a failure a window, nobody left waiting."""

import threading
from concurrent.futures import CancelledError

import numpy as np
import pytest

from servers import wait_for
from whisperfleet.contract.codes import Code
from whisperfleet.engine import Window, WindowRequest, WindowResult
from whisperfleet.errors import InputError, TransientError
from whisperfleet.worker.engine_queue import EngineQueue

RESULT = WindowResult((), 0, "en", 1.0, 0.0, 0.0, 0.0, 0.0)


def window(seconds: float) -> Window:
    return Window(np.zeros((80, int(seconds * 100)), np.float32), WindowRequest())


class GatedEngine:
    """An engine that waits to be let on, and answers what it is told to."""

    mels = 80
    languages = frozenset({"en"})

    def __init__(self, *answers: object) -> None:
        self.gate = threading.Semaphore(0)
        self.answers = list(answers)
        self.seen: list[Window] = []

    def run(self, windows):
        self.gate.acquire()
        self.seen += windows
        answer = self.answers.pop(0) if self.answers else RESULT
        if isinstance(answer, RuntimeError):
            raise answer
        return [answer for _ in windows]


def test_answers_go_to_those_who_asked():
    failure = InputError(Code.UNKNOWN_LANGUAGE, "this window is at fault")
    engine = GatedEngine(RESULT, failure, RESULT)
    with EngineQueue(engine, 1000) as line:
        futures = [line.submit(window(1)) for _ in range(3)]
        engine.gate.release(3)
        assert futures[0].result(10) is RESULT
        with pytest.raises(InputError, match="this window"):
            futures[1].result(10)
        assert futures[2].result(10) is RESULT


def test_an_engine_that_raises_fails_one_window_and_goes_on():
    engine = GatedEngine(RuntimeError("the device fell off"), RESULT)
    with EngineQueue(engine, 1000) as line:
        first, second = line.submit(window(1)), line.submit(window(1))
        engine.gate.release(2)
        with pytest.raises(TransientError, match="the device fell off") as raised:
            first.result(10)
        assert raised.value.code is Code.ENGINE_FAILED
        assert second.result(10) is RESULT


def test_the_line_holds_no_more_audio_than_it_may():
    engine = GatedEngine()
    with EngineQueue(engine, 60) as line:
        line.submit(window(30))
        line.submit(window(30))
        third = threading.Thread(target=line.submit, args=(window(10),))
        third.start()
        third.join(0.2)
        assert third.is_alive(), "70 s of audio are in a line that holds 60"
        engine.gate.release()
        third.join(10)
        assert not third.is_alive()
        engine.gate.release(2)
        wait_for(lambda: len(engine.seen) == 3, "all windows are answered")


def test_a_window_longer_than_the_bound_still_gets_through():
    engine = GatedEngine()
    engine.gate.release(2)
    with EngineQueue(engine, 5) as line:
        assert line.submit(window(30)).result(10) is RESULT
        assert line.submit(window(30)).result(10) is RESULT


def test_closing_leaves_nobody_waiting():
    engine = GatedEngine()
    line = EngineQueue(engine, 1000)
    with line:
        running, waiting = line.submit(window(1)), line.submit(window(1))
        wait_for(running.running, "the engine has begun")
        # Set while the line closes: the engine's call must end for the thread to be joined.
        threading.Timer(0.1, engine.gate.release).start()
    assert running.result(10) is RESULT
    with pytest.raises(CancelledError):
        waiting.result(0)
    with pytest.raises(CancelledError):
        line.submit(window(1))


def test_a_call_that_does_not_return_shows():
    engine = GatedEngine()
    with EngineQueue(engine, 1000) as line:
        assert line.run_started is None
        future = line.submit(window(1))
        wait_for(lambda: line.run_started is not None, "the call shows")
        engine.gate.release()
        future.result(10)
        wait_for(lambda: line.run_started is None, "the call is over")
