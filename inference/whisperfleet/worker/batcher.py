"""The windows of all jobs in flight, in one line before the one engine.

Job threads put windows in and wait for futures; one thread takes batches out and runs the engine.
What a call leaves unsettled waits in a line of its own for another pass, and the others' answers go
out at once. Both lines together are bounded by the seconds of audio that they hold, so memory does
not follow the number of windows.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

from whisperfleet.contract.keys import Priority
from whisperfleet.engine import Answer, BatchEngine, Prepared, Unsettled, Window, WindowResult
from whisperfleet.engine.interface import WINDOW_SECONDS
from whisperfleet.errors import EngineLostError
from whisperfleet.worker import metrics
from whisperfleet.worker.fair_queue import FairQueue, Owner
from whisperfleet.worker.host_memory import FreeMemory
from whisperfleet.worker.metering import Meter, metered

__all__ = ["BatchTiming", "Batcher", "JobHandle"]

log = logging.getLogger(__name__)

_JOIN_SECONDS: Final = 5.0

# Who waits for room in the line notices so soon that it should stop.
_LOOK_SECONDS: Final = 0.1

# Batches that one job may have before the engine: one that runs and one that is ready for it.
_BATCHES_PER_JOB: Final = 2


@dataclass(frozen=True, slots=True)
class BatchTiming:
    """How long a batch may wait and run.

    One that is not full waits for jobs that are on their way to it: for `linger_seconds` at most,
    and no more than `linger_share` of what the last batch took, so that waiting never costs much.
    Nobody should wait longer than `longest_run_seconds` for the batch that runs, and a call must
    end long before it counts as hung: a large model on a CPU is given few windows at a time. Free
    memory is looked at after each batch, and after `memory_seconds` where none comes: files without
    speech make none.
    """

    linger_seconds: float = 0.25
    linger_share: float = 0.1
    longest_run_seconds: float = 30.0
    memory_seconds: float = 60.0


_TIMING: Final = BatchTiming()


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """A window before its next pass. Its future can be cancelled until it has the answer."""

    window: Prepared
    job: "JobHandle"
    future: Future[WindowResult] = field(default_factory=Future)
    unsettled: Unsettled | None = None

    @property
    def temperature(self) -> float | None:
        """What its next pass is sampled at, None before the first."""
        return None if self.unsettled is None else self.unsettled.temperature

    @property
    def held_seconds(self) -> float:
        """The audio that it stands for: what is kept between passes is as large for any window."""
        return self.window.seconds if self.unsettled is None else WINDOW_SECONDS


class Batcher:
    """A bounded line of windows and the thread that runs the engine on them, a batch at a time.

    `max_audio_seconds` bounds the audio that waits or is being recognised, but for one window of
    each job, which always fits: nobody is kept out of the line by a long file. The weights of
    `priorities` are their shares of the engine, as they are of the claims. Where new and unsettled
    windows wait, calls for either take turns. `run_started` is the time by `clock` at which the
    engine's current call began, None while it is idle: a call that never returns shows there.
    `lost` is why the engine is gone, once it is: then the line is closed, `on_lost` was called on
    the engine's thread, and no window is answered any more. The windows that the engine had, be
    they unsettled, raise EngineLostError, all others CancelledError.
    """

    def __init__(
        self,
        engine: BatchEngine[Any],
        max_audio_seconds: float,
        priorities: Sequence[Priority] = (),
        on_lost: Callable[[], None] = lambda: None,
        *,
        timing: BatchTiming = _TIMING,
        clock: Callable[[], float] = time.monotonic,
        return_memory: Callable[[], object] | None = None,
    ) -> None:
        self._timing = timing
        self._clock = clock
        self._return_memory = return_memory or FreeMemory().return_if_gathered
        self.run_started: float | None = None
        self.lost: BaseException | None = None
        self._on_lost = on_lost
        self._engine = engine
        self._max_audio_seconds = max_audio_seconds
        self._weights = {priority.name: priority.weight for priority in priorities}
        self._audio_seconds = 0.0
        self._last_run_seconds = timing.linger_seconds / timing.linger_share
        # One, until it is known how long that takes.
        self._affordable_windows = 1
        self._affordable_retries = 1
        self._new: FairQueue[_Waiting] = FairQueue(clock)
        self._unsettled: FairQueue[_Waiting] = FairQueue(clock)
        self._retried_last = False
        self._jobs: set[JobHandle] = set()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="engine", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        # A call that never returns must not keep the process from ending.
        self._thread.join(_JOIN_SECONDS)

    def prepare(self, window: Window) -> Prepared:
        """See `BatchEngine.prepare`."""
        prepared: Prepared = self._engine.prepare(window)
        return prepared

    @contextmanager
    def join(
        self, priority: str | None = None, meter: Meter | None = None
    ) -> Iterator["JobHandle"]:
        """Return what one job puts its windows in line with, until the context is left.

        What the engine does for it until then is counted in `meter`.
        """
        job = JobHandle(self, self._weights.get(priority or "", 1), meter or Meter())
        with self._changed:
            self._jobs.add(job)
        try:
            yield job
        finally:
            job.meter.close()
            with self._changed:
                self._jobs.discard(job)
                self._changed.notify_all()

    @property
    def is_running(self) -> bool:
        """Whether its thread has not ended: the engine may be in a call."""
        return self._thread.is_alive()

    def now(self) -> float:
        """Return the time by the clock that passes are measured with."""
        return self._clock()

    @property
    def windows_per_job(self) -> int:
        """How many windows of one job may wait or run at a time."""
        return _BATCHES_PER_JOB * self._engine.batch_size

    @property
    def _batch_size(self) -> int:
        return min(self._engine.batch_size, self._affordable_windows)

    def put(
        self, window: Prepared, job: "JobHandle", look: Callable[[], None]
    ) -> Future[WindowResult]:
        """See `JobHandle.submit`."""
        waiting = _Waiting(window, job)
        with self._changed:
            while not (self._closed or self._fits(window, job)):
                look()
                self._changed.wait(_LOOK_SECONDS)
            if self._closed:
                raise CancelledError("the engine queue is closed")
            self._audio_seconds += window.seconds
            self._new.put(waiting, job.owner)
            metrics.windows_waiting.set(self._in_line)
            self._changed.notify_all()
        return waiting.future

    def _fits(self, window: Prepared, job: "JobHandle") -> bool:
        waits = job.owner.items or job.retries.items
        return not waits or self._audio_seconds + window.seconds <= self._max_audio_seconds

    @property
    def _in_line(self) -> int:
        return len(self._new) + len(self._unsettled)

    def _close(self) -> None:
        with self._changed:
            self._closed = True
            abandoned = [*self._new.clear(), *self._unsettled.clear()]
            self._changed.notify_all()
        for waiting in abandoned:
            _abandon(waiting.future)

    def _serve(self) -> None:
        batch: list[_Waiting] = []
        try:
            while not self._closed:
                batch = self._next_batch()
                if batch:
                    self._run(batch)
                # What the engine has found of a window is not kept while it waits for others.
                batch = []
                self._return_memory()
        # Whatever it is, who waits must learn of it; a panic in Rust is no Exception.
        except BaseException as error:  # noqa: BLE001
            self._lose(error, batch)

    def _next_batch(self) -> list[_Waiting]:
        """Wait for the windows whose next pass is due.

        There are none once it is closed, or where none come until memory is to be looked at.
        """
        with self._changed:
            seconds = self._timing.memory_seconds
            if not self._changed.wait_for(lambda: self._closed or self._in_line > 0, seconds):
                return []
            self._linger()
            for line in (self._new, self._unsettled):
                self._leave(line.drop(lambda waiting: waiting.future.cancelled()))
            taken = self._take()
            metrics.windows_waiting.set(self._in_line)
        for waiting, seconds in taken:
            if waiting.unsettled is None:
                metrics.window_wait_seconds.observe(seconds)
        return [waiting for waiting, _ in taken]

    def _take(self) -> list[tuple[_Waiting, float]]:
        """Take windows for one call, by turns where both new and unsettled ones wait."""
        new_ones_turn = self._retried_last and len(self._new) > 0
        self._retried_last = len(self._unsettled) > 0 and not new_ones_turn
        if not self._retried_last:
            return self._new.take(self._batch_size)
        size = min(self._engine.retry_size, self._affordable_retries)
        return self._unsettled.take(size, lambda waiting: waiting.temperature)

    def _leave(self, gone: Sequence[_Waiting]) -> None:
        """Make room for others."""
        with self._changed:
            seconds = sum(waiting.held_seconds for waiting in gone)
            self._audio_seconds = max(0.0, self._audio_seconds - seconds)
            self._changed.notify_all()

    def _lose(self, error: BaseException, batch: Sequence[_Waiting]) -> None:
        """Close the line because the engine is gone, with the windows that it had."""
        log.error("the engine is gone, and its worker ends: %s", error, exc_info=error)
        self.lost = error
        with self._changed:
            begun = [*batch, *self._unsettled.clear()]
        # First of all: whose windows these are must not learn only that the worker ends.
        for waiting in begun:
            if not waiting.future.done():
                _settle(waiting.future, EngineLostError(str(error)))
        self._on_lost()
        self._close()

    def _linger(self) -> None:
        """Wait a little for windows that are being made; not where none can be coming.

        Nor where unsettled ones wait: those that come meanwhile are next.
        """
        self._changed.wait_for(
            lambda: (
                self._closed
                or len(self._unsettled) > 0
                or len(self._new) >= self._batch_size
                or all(job.owner.items for job in self._jobs)
            ),
            min(self._timing.linger_seconds, self._timing.linger_share * self._last_run_seconds),
        )

    def _run(self, batch: Sequence[_Waiting]) -> None:
        """Make one pass over windows that are all new or all unsettled."""
        self.run_started = self._clock()
        metrics.batch_limit.set(self._batch_size)
        try:
            with metered([waiting.job.meter for waiting in batch], self._clock) as made:
                answers = self._ask(batch)
        finally:
            self.run_started = None
        if len(answers) != len(batch):
            raise RuntimeError(f"{len(batch)} windows have {len(answers)} answers")
        self._measure(batch, made.seconds)
        settled, unsettled = [], []
        for waiting, answer in zip(batch, answers, strict=True):
            if isinstance(answer, Unsettled):
                unsettled.append(replace(waiting, unsettled=answer))
            else:
                settled.append((waiting, answer))
        metrics.windows.inc(len(settled))
        metrics.audio_seconds.inc(sum(waiting.window.seconds for waiting, _ in settled))
        with self._changed:
            self._leave(batch)
            self._put_again(unsettled)
        for waiting, answer in settled:
            waiting.job.meter.windows += 1
            _settle(waiting.future, answer)

    def _ask(self, batch: Sequence[_Waiting]) -> list[Answer]:
        unsettled = [one.unsettled for one in batch if one.unsettled is not None]
        if unsettled:
            return self._engine.retry(unsettled)
        return self._engine.run([waiting.window for waiting in batch])

    def _measure(self, batch: Sequence[_Waiting], seconds: float) -> None:
        """Learn how long a pass takes, and tell."""
        affordable = max(1, int(self._timing.longest_run_seconds / max(seconds / len(batch), 1e-6)))
        if self._retried_last:
            self._affordable_retries = affordable
            metrics.fallback_passes.inc(len(batch))
        else:
            self._affordable_windows = affordable
            self._last_run_seconds = seconds
            metrics.batch_windows.observe(len(batch))

    def _put_again(self, unsettled: Sequence[_Waiting]) -> None:
        """Put windows in line for another pass, unless the line was closed meanwhile."""
        for waiting in unsettled:
            if self._closed:
                _abandon(waiting.future)
            else:
                self._audio_seconds += waiting.held_seconds
                self._unsettled.put(waiting, waiting.job.retries)
        metrics.windows_waiting.set(self._in_line)


def _settle(future: Future[WindowResult], answer: WindowResult | Exception) -> None:
    """Give the answer to who waits, unless nobody does any more."""
    if not future.set_running_or_notify_cancel():
        return
    if isinstance(answer, WindowResult):
        future.set_result(answer)
    else:
        future.set_exception(answer)


def _abandon(future: Future[WindowResult]) -> None:
    future.cancel()
    # Only this wakes who waits for several futures at once.
    future.set_running_or_notify_cancel()


class JobHandle:
    """Where one job puts its windows in line; see `Batcher.join`. Use it from one thread."""

    def __init__(self, queue: Batcher, weight: int, meter: Meter) -> None:
        self._queue = queue
        self.meter = meter
        self.owner = Owner(weight)
        # Of its unsettled windows; no longer new, so that none of them passes others.
        self.retries = Owner(weight, is_new=False)

    @property
    def capacity(self) -> int:
        """How many windows the job may have unanswered at a time."""
        return self._queue.windows_per_job

    def computing_seconds(self) -> float:
        """Return for how long the engine has had a window of the job up to now."""
        return self.meter.computing_seconds(self._queue.now())

    def prepare(self, window: Window) -> Prepared:
        """Return a window as the engine takes it, without its samples; this takes a while."""
        return self._queue.prepare(window)

    def submit(
        self, window: Prepared, look: Callable[[], None] = lambda: None
    ) -> Future[WindowResult]:
        """Put a window in line and return the promise of its words.

        Blocks while the line holds its fill of audio; meanwhile `look` is called now and then, and
        what it raises is raised. The future raises the JobError of this window alone, or
        EngineLostError where the engine went with it. Both raise CancelledError when the line is
        closed, because the worker ends.
        """
        return self._queue.put(window, self, look)
