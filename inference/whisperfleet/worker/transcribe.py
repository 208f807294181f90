"""From a cutter to a transcript: keep the engine fed with one job's windows, in order."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future

from whisperfleet.contract.result import Transcript
from whisperfleet.cutting import Clock, Cutter, assemble
from whisperfleet.engine import Window, WindowResult
from whisperfleet.worker.control import Stopwatch

__all__ = ["transcribe"]

# One job may have this many windows before the engine: enough to keep it busy, few enough that a
# long file does not stand in front of everyone.
MAX_WINDOWS_PER_JOB = 4


def transcribe(
    cutter: Cutter,
    submit: Callable[[Window], Future[WindowResult]],
    check: Callable[[], None],
    stopwatch: Stopwatch,
) -> Transcript:
    """Run every window of one job through the engine and put the words together.

    `check` is called between windows and raises when the job should stop; the time spent waiting
    for the engine goes to the stage `engine`. Raises the JobError of the first window that failed.
    """
    unanswered: deque[tuple[Clock, Future[WindowResult]]] = deque()
    answered: list[tuple[Clock, WindowResult]] = []

    def take() -> WindowResult:
        clock, future = unanswered.popleft()
        with stopwatch.stage("engine"):
            result = future.result()
        answered.append((clock, result))
        return result

    try:
        previous: WindowResult | None = None
        while cut := cutter.next(previous):
            check()
            unanswered.append((cut.clock, submit(cut.window)))
            previous = None
            while len(unanswered) >= min(cutter.lookahead, MAX_WINDOWS_PER_JOB):
                previous = take()
        while unanswered:
            take()
    finally:
        for _, future in unanswered:
            future.cancel()
    return assemble(answered, cutter)
