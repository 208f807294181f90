"""What each job has of the engine's time.

A batch is computed for several jobs at once. Its time is shared among them by window: an encoder
takes as long for each, and no engine says which took its decoder longer. Whole nanoseconds, so that
the shares of a batch are its time and nothing is lost or made by rounding.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

__all__ = ["Meter", "Pass", "metered", "shares"]

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
        # Seconds of the passes that are over, and when the one that runs began: replaced at once,
        # for two threads look at it.
        self._computed: tuple[float, float | None] = (0.0, None)

    @property
    def device_seconds(self) -> float:
        """The job's shares of the engine's time."""
        return self.device_ns / _NS

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


class Pass:
    """One call of the engine; it took so many `seconds`, once it is over."""

    seconds = 0.0


@contextmanager
def metered(meters: Sequence[Meter], clock: Callable[[], float]) -> Iterator[Pass]:
    """Charge the time of a pass to the jobs of its windows, one meter for each window."""
    made, began = Pass(), clock()
    jobs = set(meters)
    for meter in jobs:
        meter.begin(began)
    try:
        yield made
    finally:
        ended = clock()
        made.seconds = ended - began
        for meter in jobs:
            meter.end(ended)
        share_of = shares(round(made.seconds * _NS), len(meters))
        for meter, share in zip(meters, share_of, strict=True):
            meter.device_ns += share
