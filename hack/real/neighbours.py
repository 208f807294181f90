"""When the neighbours of a window that loops are answered, in calls of the engine and in seconds.

A call is what a neighbour waits for, and their number is the same on an idle machine and on a busy
one; seconds are not.
"""

import queue
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from hack.real.errors import GroundError
from whisperfleet.engine import Answer, BatchEngine, Prepared, Unsettled, Window, WindowResult
from whisperfleet.worker.batcher import Batcher

__all__ = [
    "Call",
    "CountingEngine",
    "Delay",
    "Round",
    "Wait",
    "Waves",
    "batch_seconds",
    "breaches",
    "delays",
    "send",
]

# New windows and unsettled ones take turns, so one call of a few unsettled ones may come between.
_MOST_CALLS_LATER: Final = 1


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the engine: over how many windows, and whether it was a further pass."""

    windows: int
    is_retry: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class Wait:
    """What a window waited for until it was answered: calls of the engine, and seconds."""

    calls: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Waves:
    """Two batches of clips that came at once.

    `first` are the neighbours that could share a call with the clip in question, whose own wait is
    `own`; `second` are those of the batch behind it. `calls` are all that the engine made.
    """

    first: tuple[Wait, ...]
    own: Wait
    second: tuple[Wait, ...]
    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class Round:
    """The same neighbours beside a clip that loops, and beside an ordinary one in its place."""

    loop: Waves
    clip: Waves


@dataclass(frozen=True, slots=True)
class Delay:
    """How much later neighbours were answered beside a loop than beside a clip, each time."""

    calls: tuple[int, ...]
    seconds: tuple[float, ...]


class CountingEngine:
    """An engine that remembers its calls, in `calls`, each once it has ended."""

    def __init__(self, engine: BatchEngine[Any]) -> None:
        self.calls: list[Call] = []
        self._engine = engine

    def prepare(self, window: Window) -> Prepared:
        """See `BatchEngine`."""
        prepared: Prepared = self._engine.prepare(window)
        return prepared

    @property
    def batch_size(self) -> int:
        """See `BatchEngine`."""
        size: int = self._engine.batch_size
        return size

    @property
    def retry_size(self) -> int:
        """See `BatchEngine`."""
        size: int = self._engine.retry_size
        return size

    def run(self, windows: Sequence[Prepared]) -> list[Answer]:
        """See `BatchEngine`."""
        return self._count(len(windows), False, lambda: self._engine.run(windows))

    def retry(self, unsettled: Sequence[Unsettled]) -> list[Answer]:
        """See `BatchEngine`."""
        return self._count(len(unsettled), True, lambda: self._engine.retry(unsettled))

    def _count(
        self, windows: int, is_retry: bool, call: Callable[[], list[Answer]]
    ) -> list[Answer]:
        began = time.monotonic()
        answers = call()
        self.calls.append(Call(windows, is_retry, time.monotonic() - began))
        return answers


def send(
    line: Batcher, engine: CountingEngine, clip: Prepared, neighbours: Sequence[Prepared]
) -> Waves:
    """Put windows in line at once, each a job's only one, and return when they were answered.

    The clip is the last of the engine's first batch; all else are neighbours. The line must be
    idle. Raises GroundError where a window cannot be recognised.
    """
    place = engine.batch_size - 1
    waits, calls = _send(line, engine, [*neighbours[:place], clip, *neighbours[place:]])
    return Waves(waits[:place], waits[place], waits[place + 1 :], calls)


def _send(
    line: Batcher, engine: CountingEngine, windows: Sequence[Prepared]
) -> tuple[tuple[Wait, ...], tuple[Call, ...]]:
    answers: queue.SimpleQueue[tuple[int, Wait, BaseException | None]] = queue.SimpleQueue()
    before, began = len(engine.calls), time.monotonic()

    def note(place: int, answer: Future[WindowResult]) -> None:
        # Called on the engine's own thread, so no call ends meanwhile.
        waited = Wait(len(engine.calls) - before, time.monotonic() - began)
        answers.put((place, waited, answer.exception()))

    with ExitStack() as jobs:
        lines = [jobs.enter_context(line.join()) for _ in windows]
        for place, (job, window) in enumerate(zip(lines, windows, strict=True)):
            job.submit(window).add_done_callback(partial(note, place))
        waits: dict[int, Wait] = {}
        for _ in windows:
            place, waits[place], error = answers.get()
            if error is not None:
                raise GroundError(
                    f"window {place} of {len(windows)} was not recognised: {error}"
                ) from error
    return tuple(waits[place] for place in range(len(windows))), tuple(engine.calls[before:])


def delays(rounds: Sequence[Round]) -> dict[str, Delay]:
    """Return how much later the neighbours of either batch were answered in all rounds."""
    return {
        "in the same batch": _delay((one.loop.first, one.clip.first) for one in rounds),
        "in the next batch": _delay((one.loop.second, one.clip.second) for one in rounds),
    }


def _delay(waits: Iterable[tuple[Sequence[Wait], Sequence[Wait]]]) -> Delay:
    pairs = [pair for loop, clip in waits for pair in zip(loop, clip, strict=True)]
    return Delay(
        tuple(loop.calls - clip.calls for loop, clip in pairs),
        tuple(loop.seconds - clip.seconds for loop, clip in pairs),
    )


def batch_seconds(rounds: Sequence[Round]) -> float:
    """Return what a call with a full batch of ordinary clips took, by the median."""
    calls = [call for one in rounds for call in one.clip.calls if not call.is_retry]
    full = max(call.windows for call in calls)
    return statistics.median(call.seconds for call in calls if call.windows == full)


def breaches(rounds: Sequence[Round]) -> Iterator[str]:
    """Yield a sentence for each way in which neighbours of a loop wait too long."""
    batch = batch_seconds(rounds)
    for where, delay in delays(rounds).items():
        if (calls := max(delay.calls)) > _MOST_CALLS_LATER:
            yield f"a neighbour {where} is answered {calls} calls later beside a loop"
        if (seconds := statistics.median(delay.seconds)) >= batch:
            yield (
                f"neighbours {where} are answered {seconds:.1f} s later beside a loop by the "
                f"median, and a full batch takes {batch:.1f} s"
            )
