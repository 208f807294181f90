"""From a cutter to a transcript: keep the engine fed with one job's windows, in order."""

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, Future, wait
from contextlib import AbstractContextManager, nullcontext

from whisperfleet.contract.result import Transcript
from whisperfleet.cutting import Clock, Cutter, assemble
from whisperfleet.engine import WindowResult
from whisperfleet.errors import EngineLostError
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
    when `control` says so, also while the engine is busy, or when the line is closed: with
    ENGINE_LOST where the engine went with a window of this job.
    """
    unanswered: deque[tuple[Clock, Future[WindowResult]]] = deque()
    answered: list[tuple[Clock, WindowResult]] = []

    def take() -> WindowResult:
        clock, future = unanswered[0]
        with stopwatch.stage("engine"):
            while not wait([future], _LOOK_SECONDS).done:
                control.look()
        result = future.result()
        unanswered.popleft()
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
    except (Interrupted, CancelledError, EngineLostError) as stopped:
        raise Interrupted(_reason(stopped, [future for _, future in unanswered])) from stopped
    finally:
        for _, future in unanswered:
            future.cancel()
    return assemble(answered, cutter)


def _reason(stopped: BaseException, unanswered: Iterable[Future[WindowResult]]) -> Stop:
    """Return why a job stops: where the engine went with one of its windows, for its own sake."""
    if any(_went_with(future) for future in unanswered):
        return Stop.ENGINE_LOST
    # Where the line is closed another worker begins the job anew.
    return stopped.stop if isinstance(stopped, Interrupted) else Stop.DRAINING


def _went_with(future: Future[WindowResult]) -> bool:
    if not future.done() or future.cancelled():
        return False
    return isinstance(future.exception(), EngineLostError)
