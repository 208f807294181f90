"""One worker: it starts its parts, works until it is told to stop, and says how it is."""

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from whisperfleet.errors import EngineLostError, StartupError, WhisperfleetError
from whisperfleet.worker import metrics
from whisperfleet.worker.batcher import Batcher
from whisperfleet.worker.loop import WorkLoop
from whisperfleet.worker.machine import lack_behind
from whisperfleet.worker.parts import Clock
from whisperfleet.worker.settings import WorkerSettings
from whisperfleet.worker.standing import Standing

__all__ = ["Assemble", "Running", "Worker"]

log = logging.getLogger(__name__)

# So long a busy machine may take for what is seen with each renewal, however often those come.
_LEAST_PATIENCE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Running:
    """The parts that a worker runs and watches."""

    batcher: Batcher
    loop: WorkLoop


class Assemble(Protocol):
    """What starts every part of a worker."""

    def __call__(self, parts: ExitStack, on_lost: Callable[[], None]) -> Running:
        """Start them; `parts` ends them in reverse order. `on_lost` is for a lost engine.

        Raises StartupError where one cannot start.
        """


class Worker:
    """A worker that is made and not yet started; see `build_worker`."""

    def __init__(
        self,
        settings: WorkerSettings,
        assemble: Assemble,
        standing: Standing,
        scratch: Path,
        clock: Clock = time.monotonic,
    ) -> None:
        self._settings = settings
        self._assemble = assemble
        self._standing = standing
        self._scratch = scratch
        self._clock = clock
        self._running: Running | None = None

    def run(self, stopped: threading.Event) -> None:
        """Start, and work until `stopped` is set and the jobs in flight are ended or handed back.

        Raises StartupError where a part cannot start, and EngineLostError where the engine was
        lost at work.
        """
        with ExitStack() as parts:
            try:
                running = self._assemble(parts, lambda: self._stop_at_once(stopped))
            except WhisperfleetError:
                raise
            except Exception as error:
                if lack := lack_behind(error, self._scratch):
                    raise StartupError(f"the worker cannot start: {lack}") from error
                raise
            self._running = running
            seconds = _seconds_since_start()
            metrics.startup_seconds.set(seconds)
            log.info("ready", extra={"model": self._settings.engine.model, "seconds": seconds})
            running.loop.run(stopped)
            log.info("drained")
            if gone := _gone(running):
                raise EngineLostError(gone)

    def _stop_at_once(self, stopped: threading.Event) -> None:
        """Claim no more, and keep nothing that others could do: the engine is gone."""
        stopped.set()
        if self._running:
            self._running.loop.hand_back()

    def live(self) -> str | None:
        """Say what does not move, None where all does. A worker that still starts is alive."""
        if self._running is None:
            return None
        if gone := _gone(self._running):
            return gone
        loop, batcher = self._running.loop, self._running.batcher
        stall = self._settings.load.stall_seconds
        if (waited := loop.claiming_seconds) > stall:
            return f"the work loop has been in one call to Redis for {waited:.0f} s"
        began = batcher.run_started
        if began is not None and (busy := self._clock() - began) > stall:
            return f"the engine has been in one call for {busy:.0f} s"
        if (late := loop.overdue_seconds) > stall:
            return f"a job goes on though its time was up {late:.0f} s ago"
        return None

    def ready(self) -> str | None:
        """Say why it takes no jobs, None where it does."""
        if self._running is None:
            return "the model is being loaded"
        loop = self._running.loop
        patience = max(_LEAST_PATIENCE_SECONDS, 2 * self._settings.queue_policy.beat_seconds)
        if problem := self._standing.problem(patience) or loop.obstacle:
            return problem
        if (waited := loop.claiming_seconds) > patience:
            return f"nothing can be claimed: Redis has given no answer for {waited:.0f} s"
        return self.live()


def _gone(running: Running) -> str | None:
    lost = running.batcher.lost
    return f"the engine is gone, so this worker ends: {lost}" if lost else None


def _seconds_since_start() -> float:
    """Return the age of this process, the start of the interpreter included."""
    try:
        # proc(5): field 22, in clock ticks after the boot; the name before may hold anything.
        stat = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        began = int(stat[19]) / os.sysconf("SC_CLK_TCK")
        return round(time.clock_gettime(time.CLOCK_BOOTTIME) - began, 3)
    except (OSError, AttributeError):
        return round(time.process_time(), 3)
