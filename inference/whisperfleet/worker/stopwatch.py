"""How long the stages of a job took."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from whisperfleet.worker.metering import Meter

__all__ = ["Stopwatch"]

T = TypeVar("T")


class Stopwatch:
    """Seconds of wall clock by stage, and the job's account with the engine."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.meter = Meter()
        self._began = time.monotonic()

    @property
    def total(self) -> float:
        """Seconds since the stopwatch was made."""
        return time.monotonic() - self._began

    @contextmanager
    def stage(self, name: str, but_for: Callable[[], float] = lambda: 0.0) -> Iterator[None]:
        """Add the time spent inside to a stage, but for what `but_for` grows by meanwhile."""
        began, excepted = time.monotonic(), but_for()
        try:
            yield
        finally:
            spent = time.monotonic() - began - (but_for() - excepted)
            self.seconds[name] += max(0.0, spent)

    def pulling(self, name: str, items: Iterable[T]) -> Iterator[T]:
        """Pass items on, adding the time spent waiting for each to a stage."""
        iterator = iter(items)
        while True:
            with self.stage(name):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item
