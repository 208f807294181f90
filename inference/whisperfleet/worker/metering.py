"""What each job has of the engine's time.

A batch is computed for several jobs at once. Its time is shared among them by window: an encoder
takes as long for each, and no engine says which took its decoder longer. Whole nanoseconds, so that
the shares of a batch are its time and nothing is lost or made by rounding.

What a job used and its result does not tell, because another attempt ends it or because its windows
were under way when it stopped, is counted as lost: with the usage of what ended here it is the time
in which the engine was busy.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from whisperfleet.worker import metrics

__all__ = ["Meter", "Pass", "lost_if_raised", "metered", "shares"]

_NS = 1e9


def shares(total: int, parts: int) -> list[int]:
    """Return `parts` whole numbers that are as equal as can be and sum to `total`."""
    whole, rest = divmod(total, parts)
    return [whole + (index < rest) for index in range(parts)]


class Meter:
    """One job's account with the engine: the engine's thread writes it, the job's own reads.

    `windows` are those that were answered, whatever number of passes each took; `device_ns` are the
    job's shares of the passes that its windows were in.
    """

    def __init__(self) -> None:
        self.windows = 0
        self.device_ns = 0
        self._is_closed = False
        self._lock = threading.Lock()
        # Seconds of the passes that are over, and when the one that runs began: replaced at once,
        # for two threads look at it.
        self._computed: tuple[float, float | None] = (0.0, None)

    @property
    def device_seconds(self) -> float:
        """The job's shares of the engine's time."""
        return self.device_ns / _NS

    def charge(self, share_ns: int) -> None:
        """Add a share; one that comes after `close` is lost."""
        with self._lock:
            if not self._is_closed:
                self.device_ns += share_ns
                return
        metrics.lost_device_seconds.inc(share_ns / _NS)

    def close(self) -> None:
        """Let `device_seconds` stay as they are: they are about to be told."""
        with self._lock:
            self._is_closed = True

    def computing_seconds(self, now: float) -> float:
        """Return for how long the engine had a window of the job: with others', so not a share."""
        seconds, began = self._computed
        return seconds + (max(0.0, now - began) if began is not None else 0.0)

    def begin(self, now: float) -> None:
        """Note that the engine has a window of the job."""
        self._computed = (self._computed[0], now)

    def end(self, now: float) -> None:
        """Note that it has none any more."""
        self._computed = (self.computing_seconds(now), None)


@contextmanager
def lost_if_raised(meter: Meter) -> Iterator[None]:
    """Count what an attempt used as lost where it ends with an error: no result tells of it."""
    try:
        yield
    except BaseException:
        metrics.lost_device_seconds.inc(meter.device_seconds)
        raise


class Pass:
    """One call of the engine; it took so many `seconds`, once it is over."""

    seconds = 0.0


@contextmanager
def metered(meters: Sequence[Meter], clock: Callable[[], float]) -> Iterator[Pass]:
    """Count the time of a pass, and charge it to the jobs of its windows, one meter for each."""
    made, began = Pass(), clock()
    jobs = set(meters)
    for meter in jobs:
        meter.begin(began)
    try:
        yield made
    finally:
        ended = clock()
        made.seconds = ended - began
        metrics.engine_seconds.inc(made.seconds)
        for meter in jobs:
            meter.end(ended)
        share_of = shares(round(made.seconds * _NS), len(meters))
        for meter, share in zip(meters, share_of, strict=True):
            meter.charge(share)
