"""How a job on its thread learns that it should stop."""

import math
import threading
import time
from collections.abc import Callable

from whisperfleet.queue.leases import Stop

__all__ = ["Interrupted", "JobControl", "Stop"]


class Interrupted(BaseException):
    """Raised on a job's own thread by `JobControl.check` and `look`.

    Not an Exception: no step may mistake it for a failure of its own.
    """

    def __init__(self, stop: Stop) -> None:
        super().__init__(stop.value)
        self.stop = stop


class JobControl:
    """The line between the worker's loop and one job's thread. The first stop wins.

    `ends` is the moment of `clock` at which the job's time is up; its clock starts at
    once. Each check is a `step` of the worker's progress.
    """

    def __init__(
        self,
        timeout_seconds: float,
        step: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._step = step
        self.timeout_seconds = timeout_seconds
        self._lock = threading.Lock()
        self._stop: Stop | None = None
        self.start_clock()

    def start_clock(self) -> None:
        """Give the job all of its time, from now on."""
        self.ends = self._clock() + self.timeout_seconds

    def stop_clock(self) -> None:
        """Take no time from the job: it waits for its turn."""
        self.ends = math.inf

    @property
    def stopping(self) -> bool:
        """Whether the job was asked to stop."""
        return self._stop is not None

    def stop(self, reason: Stop) -> None:
        """Ask the job to stop at its next check."""
        with self._lock:
            self._stop = self._stop or reason

    def check(self) -> None:
        """Raise Interrupted when the job should stop. Call it wherever the job has come further."""
        self._step()
        self.look()

    def look(self) -> None:
        """Raise Interrupted when the job should stop. Call it where the job only waits."""
        if self._stop is None and self._clock() > self.ends:
            self.stop(Stop.TIMEOUT)
        if self._stop is not None:
            raise Interrupted(self._stop)
