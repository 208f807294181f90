"""One job's windows before the engine: how many, and what happens when the job should stop."""

import threading
import time

import numpy as np
import pytest

from servers import wait_for
from whisperfleet.cutting import CuttingOptions, make_cutter
from whisperfleet.engine import WindowRequest, WindowResult, WindowSegment
from whisperfleet.worker.control import Interrupted, JobControl, Stop, Stopwatch
from whisperfleet.worker.engine_queue import EngineQueue
from whisperfleet.worker.transcribe import transcribe

WORD = WindowSegment(0.0, 1.0, " word", (7,))
RESULT = WindowResult((WORD,), 0, "en", 1.0, 0.0, 0.0, 0.0, 0.0)
SECONDS = 150


class HeldEngine:
    """Recognises when it is let."""

    mels = 80
    batch_size = 2

    def __init__(self) -> None:
        self.let = threading.Event()
        self.windows = 0

    def run(self, windows):
        self.windows += len(windows)
        self.let.wait()
        return [RESULT] * len(windows)


@pytest.fixture
def engine():
    held = HeldEngine()
    yield held
    held.let.set()


def begin(line: EngineQueue, control: JobControl, stopwatch: Stopwatch | None = None):
    """Transcribe five windows of half a minute."""
    seconds = (np.zeros(16_000, np.int16) for _ in range(SECONDS))
    cutter = make_cutter(seconds, WindowRequest("en"), CuttingOptions(vad=False), 80)
    with line.join() as job:
        return transcribe(cutter, job, control, stopwatch or Stopwatch())


def test_the_words_of_all_windows_in_order(engine: HeldEngine):
    engine.let.set()
    stopwatch = Stopwatch()
    with EngineQueue(engine, 1000) as line:
        transcript = begin(line, JobControl(60, lambda: None), stopwatch)
    assert [segment.start for segment in transcript.segments] == [0, 30, 60, 90, 120]
    assert transcript.duration == SECONDS


@pytest.mark.parametrize("stop", [Stop.CANCELLED, Stop.DRAINING])
def test_a_job_stops_while_the_engine_is_busy_with_it(engine: HeldEngine, stop: Stop):
    steps = []
    control = JobControl(60, lambda: steps.append(1))
    stopped = []

    def work(line: EngineQueue) -> None:
        try:
            begin(line, control)
        except Interrupted as interrupted:
            stopped.append(interrupted.stop)

    with EngineQueue(engine, 1000) as line:
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
    with EngineQueue(engine, 1000) as line:
        with pytest.raises(Interrupted) as raised:
            begin(line, control)
        engine.let.set()
    assert raised.value.stop is Stop.TIMEOUT
    assert len(steps) == 4


def test_a_job_hands_itself_back_when_the_worker_ends_before_its_windows_are_answered(
    engine: HeldEngine,
):
    stopped = []

    def work(line: EngineQueue) -> None:
        try:
            begin(line, JobControl(60, lambda: None))
        except Interrupted as interrupted:
            stopped.append(interrupted.stop)

    with EngineQueue(engine, 1000) as line:
        job = threading.Thread(target=work, args=(line,))
        job.start()
        wait_for(lambda: engine.windows, "the engine has begun")
        threading.Timer(0.1, engine.let.set).start()
    job.join(10)
    assert stopped == [Stop.DRAINING]


def test_a_job_hands_itself_back_when_the_engine_is_gone():
    class Gone(HeldEngine):
        def run(self, windows):  # noqa: ARG002 - the seam's signature
            raise RuntimeError("an illegal memory access")

    with EngineQueue(Gone(), 1000) as line, pytest.raises(Interrupted) as raised:
        begin(line, JobControl(60, lambda: None))
    assert raised.value.stop is Stop.DRAINING


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

    def work(line: EngineQueue) -> None:
        try:
            begin(line, control)
        except Interrupted as interrupted:
            stopped.append(interrupted.stop)

    with EngineQueue(engine, 30) as line:
        job = threading.Thread(target=work, args=(line,))
        job.start()
        # One window runs, one always fits, and the third waits for room.
        wait_for(lambda: control.looks > len(steps) == 3, "the job waits for room")
        control.stop(stop)
        job.join(10)
        assert stopped == [stop]
        engine.let.set()
