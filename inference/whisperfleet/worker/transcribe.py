"""From a segmenter to a transcript: keep the engine fed with one job's windows."""

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from contextlib import AbstractContextManager, nullcontext

from whisperfleet.contract.result import Transcript
from whisperfleet.engine import Prepared, WindowResult
from whisperfleet.errors import EngineLostError
from whisperfleet.segmentation import Answered, Segmenter, Timeline, assemble
from whisperfleet.worker.batcher import JobHandle
from whisperfleet.worker.control import Interrupted, JobControl, Stop
from whisperfleet.worker.stopwatch import Stopwatch

__all__ = ["transcribe"]

# A job that waits for a batch notices so soon that it should stop.
_LOOK_SECONDS = 0.1


def transcribe(
    segmenter: Segmenter,
    handle: JobHandle,
    control: JobControl,
    stopwatch: Stopwatch,
    preparing: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Transcript:
    """Run every window of one job through the engine and put the words together.

    The time spent waiting for the engine goes to the stage `engine`, and what of it passes while
    the engine has no window of the job to `waiting`. Each window is made within a context of
    `preparing`. Raises the JobError of the first window that failed, and Interrupted
    when `control` says so, also while the engine is busy, or when the line is closed: with
    ENGINE_LOST where the engine went with a window of this job.
    """
    unanswered: dict[Future[WindowResult], Timeline] = {}
    answered: list[Answered] = []

    def take() -> None:
        """Wait for an answer, and give the segmenter all that are there."""
        with stopwatch.stage("engine"), stopwatch.stage("waiting", handle.computing_seconds):
            while not (done := wait(unanswered, _LOOK_SECONDS, FIRST_COMPLETED).done):
                control.look()
        for future in [future for future in unanswered if future in done]:
            result = future.result()
            control.check()
            answered.append(segmenter.answer(unanswered.pop(future), result))

    try:
        while True:
            ready = None
            if len(unanswered) < handle.capacity:
                with preparing():
                    ready = _prepare(segmenter, handle)
            if ready is not None:
                control.check()
                prepared, timeline = ready
                unanswered[handle.submit(prepared, control.look)] = timeline
            elif unanswered:
                take()
            else:
                return assemble(answered, segmenter)
    except (Interrupted, CancelledError, EngineLostError) as stopped:
        raise Interrupted(_reason(stopped, unanswered)) from stopped
    finally:
        for future in unanswered:
            future.cancel()


def _prepare(segmenter: Segmenter, handle: JobHandle) -> tuple[Prepared, Timeline] | None:
    """Return the next window as the engine takes it; its samples are not kept while it waits."""
    placed = segmenter.next()
    return (handle.prepare(placed.window), placed.timeline) if placed else None


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
