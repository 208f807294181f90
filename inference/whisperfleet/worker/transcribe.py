"""From a cutter to a transcript: keep the engine fed with one job's windows, in order."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, wait
from contextlib import AbstractContextManager, nullcontext

from whisperfleet.contract.result import Transcript
from whisperfleet.cutting import Clock, Cutter, assemble
from whisperfleet.engine import WindowResult
from whisperfleet.worker.control import Interrupted, JobControl, Stop, Stopwatch
from whisperfleet.worker.engine_queue import JobLine

__all__ = ["transcribe"]

# A job that waits for a batch notices so soon that it should stop.
_LOOK_SECONDS = 0.1


def transcribe(
    cutter: Cutter,
    line: JobLine,
    control: JobControl,
    stopwatch: Stopwatch,
    preparing: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Transcript:
    """Run every window of one job through the engine and put the words together.

    The time spent waiting for the engine goes to the stage `engine`. Each window is made within a
    context of `preparing`. Raises the JobError of the first window that failed, and Interrupted
    when `control` says so, also while the engine is busy, or when the line is closed.
    """
    unanswered: deque[tuple[Clock, Future[WindowResult]]] = deque()
    answered: list[tuple[Clock, WindowResult]] = []

    def take() -> WindowResult:
        clock, future = unanswered.popleft()
        with stopwatch.stage("engine"):
            while not wait([future], _LOOK_SECONDS).done:
                control.look()
        result = future.result()
        control.check()
        answered.append((clock, result))
        return result

    try:
        previous: WindowResult | None = None
        while True:
            with preparing():
                cut = cutter.next(previous)
            if cut is None:
                break
            control.check()
            unanswered.append((cut.clock, line.submit(cut.window, control.look)))
            previous = None
            while len(unanswered) >= min(cutter.lookahead, line.capacity):
                previous = take()
        while unanswered:
            take()
    except CancelledError as closed:
        # The worker ends: another one begins the job anew.
        raise Interrupted(Stop.DRAINING) from closed
    finally:
        for _, future in unanswered:
            future.cancel()
    return assemble(answered, cutter)
