"""One job's windows before the engine: how many, and what happens when the job should stop."""

import threading
import time
from collections.abc import Iterator

import pytest

from support.segmentation.scripted import Heard, speech
from support.servers import wait_for
from whisperfleet.engine import WindowRequest, WindowResult, WindowSegment
from whisperfleet.segmentation import Segmenter
from whisperfleet.segmentation.options import SegmentationOptions
from whisperfleet.segmentation.parallel import ParallelSegmenter
from whisperfleet.segmentation.speech import Speech
from whisperfleet.worker.batcher import Batcher
from whisperfleet.worker.control import Interrupted, JobControl, Stop
from whisperfleet.worker.stopwatch import Stopwatch
from whisperfleet.worker.transcribe import transcribe

SECONDS = 150
WORDS = WindowSegment(0.0, 29.0, " words", ("7",))
RESULT = WindowResult((WORDS,), 2900, "en", 1.0, 0.0, 0.0, 0.0, 0.0)


class HeldEngine:
    """Recognises when it is let."""

    batch_size = 2

    def __init__(self) -> None:
        self.let = threading.Event()
        self.windows = 0

    def prepare(self, window):
        return window

    def run(self, windows):
        self.windows += len(windows)
        self.let.wait()
        return [RESULT] * len(windows)


@pytest.fixture
def engine():
    held = HeldEngine()
    yield held
    held.let.set()


def begin(line: Batcher, control: JobControl, stopwatch: Stopwatch | None = None):
    """Transcribe five windows of near half a minute."""
    with line.join() as job:
        return transcribe(segmenter_of(half_minutes()), job, control, stopwatch or Stopwatch())


def half_minutes() -> Iterator[Speech]:
    """Yield so much speech that no two runs share a window, with a second between."""
    for start in range(0, SECONDS, 30):
        yield speech(start, start + 29)


def segmenter_of(runs: Iterator[Speech]) -> Segmenter:
    return ParallelSegmenter(Heard(runs), WindowRequest("en"), SegmentationOptions())


def test_the_words_of_all_windows_in_order(engine: HeldEngine):
    engine.let.set()
    stopwatch = Stopwatch()
    with Batcher(engine, 1000) as line:
        transcript = begin(line, JobControl(60, lambda: None), stopwatch)
    assert [segment.start for segment in transcript.segments] == [0, 30, 60, 90, 120]
    assert transcript.duration == SECONDS - 1


@pytest.mark.parametrize("stop", [Stop.CANCELLED, Stop.DRAINING])
def test_a_job_stops_while_the_engine_is_busy_with_it(engine: HeldEngine, stop: Stop):
    steps = []
    control = JobControl(60, lambda: steps.append(1))
    stopped = []

    def work(line: Batcher) -> None:
        try:
            begin(line, control)
        except Interrupted as interrupted:
            stopped.append(interrupted.stop)

    with Batcher(engine, 1000) as line:
        job = threading.Thread(target=work, args=(line,))
        job.start()
        wait_for(lambda: engine.windows, "the engine has begun")
        wait_for(lambda: len(steps) == 4, "two batches are in line, and the job waits")
        control.stop(stop)
        job.join(10)
        assert stopped == [stop]
        engine.let.set()
    assert engine.windows == 1, "what was still in line is not recognised"


def test_waiting_is_no_progress_and_ends_with_the_jobs_time(engine: HeldEngine):
    steps = []

    def step() -> None:
        steps.append(1)
        if len(steps) == 4:
            # Two batches are in line from here on, and the job waits.
            control.ends = time.monotonic() + 0.3

    control = JobControl(60, step)
    with Batcher(engine, 1000) as line:
        with pytest.raises(Interrupted) as raised:
            begin(line, control)
        engine.let.set()
    assert raised.value.stop is Stop.TIMEOUT
    assert len(steps) == 4


def test_a_job_hands_itself_back_when_the_worker_ends_before_its_windows_are_answered(
    engine: HeldEngine,
):
    stopped = []

    def work(line: Batcher) -> None:
        try:
            begin(line, JobControl(60, lambda: None))
        except Interrupted as interrupted:
            stopped.append(interrupted.stop)

    with Batcher(engine, 1000) as line:
        job = threading.Thread(target=work, args=(line,))
        job.start()
        wait_for(lambda: engine.windows, "the engine has begun")
        threading.Timer(0.1, engine.let.set).start()
    job.join(10)
    assert stopped == [Stop.DRAINING]


class BreakingEngine(HeldEngine):
    """Breaks when it is let."""

    def run(self, windows):
        super().run(windows)
        raise RuntimeError("an illegal memory access")


def test_who_was_before_an_engine_that_breaks_is_told_from_who_waited():
    """Also where the worker, which ends then, has told all of them to stop."""
    engine = BreakingEngine()
    controls = [JobControl(60, lambda: None) for _ in range(2)]
    stopped: dict[str, Stop] = {}

    def work(name: str, line: Batcher, control: JobControl) -> None:
        try:
            begin(line, control)
        except Interrupted as interrupted:
            stopped[name] = interrupted.stop

    def stop_all() -> None:
        for control in controls:
            control.stop(Stop.DRAINING)

    with Batcher(engine, 1000, on_lost=stop_all) as line:
        jobs = []
        for name, control in zip(("before it", "in line"), controls, strict=True):
            jobs.append(threading.Thread(target=work, args=(name, line, control)))
            jobs[-1].start()
            wait_for(lambda: engine.windows, "the engine has begun")
        wait_for(lambda: len(line._jobs) == 2, "both are in line")
        engine.let.set()
        for job in jobs:
            job.join(10)
    assert stopped == {"before it": Stop.ENGINE_LOST, "in line": Stop.DRAINING}


def test_a_job_is_told_of_a_lost_engine_though_it_was_making_a_window_then():
    engine = BreakingEngine()
    control = JobControl(60, lambda: None)
    lost = threading.Event()

    def runs() -> Iterator[Speech]:
        for number, run in enumerate(half_minutes()):
            if number == 3:
                # One window is before the engine, and the next is being made.
                engine.let.set()
                assert lost.wait(10)
            yield run

    def on_lost() -> None:
        control.stop(Stop.DRAINING)
        lost.set()

    with (
        Batcher(engine, 1000, on_lost=on_lost) as line,
        line.join() as job,
        pytest.raises(Interrupted) as raised,
    ):
        transcribe(segmenter_of(runs()), job, control, Stopwatch())
    assert raised.value.stop is Stop.ENGINE_LOST


class WatchedControl(JobControl):
    looks = 0

    def look(self) -> None:
        self.looks += 1
        super().look()


@pytest.mark.parametrize("stop", [Stop.CANCELLED, Stop.DRAINING])
def test_a_job_stops_while_the_line_has_no_room(engine: HeldEngine, stop: Stop):
    steps = []
    control = WatchedControl(60, lambda: steps.append(1))
    stopped = []

    def work(line: Batcher) -> None:
        try:
            begin(line, control)
        except Interrupted as interrupted:
            stopped.append(interrupted.stop)

    with Batcher(engine, 30) as line:
        job = threading.Thread(target=work, args=(line,))
        job.start()
        # One window runs, one always fits, and the third waits for room.
        wait_for(lambda: control.looks > len(steps) == 3, "the job waits for room")
        control.stop(stop)
        job.join(10)
        assert stopped == [stop]
        engine.let.set()
