"""When which service is reconciled: each at most once at a time, as soon as it is due.

Level-triggered: an entry is a name, never a change, so a hundred events of one service lead to one
reconcile of its present state. A failure is repeated after a growing pause, and every service is
reconciled again after the pause that its last reconcile asked for.
"""

import heapq
import threading
import time
from collections.abc import Callable

from whisperfleet.backoff import Backoff

__all__ = ["Key", "WorkQueue"]

Key = tuple[str, str]
"""Namespace and name of a service."""

_BACKOFF = Backoff(first_seconds=0.5, most_seconds=60.0, jitter=0.25)


class WorkQueue:
    """Names that are or will be due. Every method may be called from any thread."""

    def __init__(
        self, backoff: Backoff | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._backoff = backoff or _BACKOFF
        self._clock = clock
        self._changed = threading.Condition()
        self._due: dict[Key, float] = {}
        # May hold outdated entries; `_due` knows which count.
        self._heap: list[tuple[float, Key]] = []
        self._begun: dict[Key, float] = {}
        self._failures: dict[Key, int] = {}
        self._stopped = False
        self._last_taken: float | None = None

    def add(self, key: Key, after_seconds: float = 0.0) -> None:
        """Make `key` due then, unless it is due earlier already."""
        with self._changed:
            self._schedule(key, self._clock() + after_seconds)

    def take(self, timeout_seconds: float | None = None) -> Key | None:
        """Wait for a key that is due and hand it out; None after the timeout or `stop`.

        Nobody else gets it before `done` or `failed` is called for it.
        """
        deadline = None if timeout_seconds is None else self._clock() + timeout_seconds
        with self._changed:
            while not self._stopped:
                now = self._last_taken = self._clock()
                if key := self._pop(now):
                    self._begun[key] = now
                    return key
                if deadline is not None and now >= deadline:
                    return None
                ends = [end for end in (self._next_due(), deadline) if end is not None]
                self._changed.wait(min(ends) - now if ends else None)
        return None

    def done(self, key: Key, again_after_seconds: float | None = None) -> None:
        """End the work on `key`, and repeat it then; None only when it is added again."""
        with self._changed:
            self._failures.pop(key, None)
            self._end(key, again_after_seconds)

    def failed(self, key: Key) -> float:
        """End the work on `key` and repeat it after a pause that grows; return that pause."""
        with self._changed:
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            pause = self._backoff.seconds(failures)
            self._end(key, pause)
        return pause

    def stop(self) -> None:
        """Hand out nothing more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped

    @property
    def depth(self) -> int:
        """How many keys are due and not taken."""
        with self._changed:
            now = self._clock()
            return sum(due <= now for key, due in self._due.items() if key not in self._begun)

    def stalled(self, limit_seconds: float) -> str | None:
        """Return a sentence when a reconcile takes, or a due key waits, longer than the limit.

        Also when nobody has asked for work for that long: whoever takes work, once it has begun,
        does so again and again, with a timeout.
        """
        with self._changed:
            now = self._clock()
            if self._last_taken is not None and now - self._last_taken > limit_seconds:
                return f"nobody has asked for work for {now - self._last_taken:.0f} s"
            for (namespace, name), begun in self._begun.items():
                if now - begun > limit_seconds:
                    return f"the reconcile of {namespace}/{name} has taken {now - begun:.0f} s"
            for key, due in self._due.items():
                if key not in self._begun and now - due > limit_seconds:
                    return f"{key[0]}/{key[1]} has been due for {now - due:.0f} s"
        return None

    def _schedule(self, key: Key, due: float) -> None:
        if due < self._due.get(key, float("inf")):
            self._due[key] = due
            heapq.heappush(self._heap, (due, key))
            self._changed.notify()

    def _end(self, key: Key, again_after_seconds: float | None) -> None:
        self._begun.pop(key, None)
        if again_after_seconds is not None:
            self._schedule(key, self._clock() + again_after_seconds)
        if key in self._due:
            # It was skipped while it was taken.
            heapq.heappush(self._heap, (self._due[key], key))
            self._changed.notify()

    def _pop(self, now: float) -> Key | None:
        while self._heap and self._heap[0][0] <= now:
            due, key = heapq.heappop(self._heap)
            if self._due.get(key) == due and key not in self._begun:
                del self._due[key]
                return key
        return None

    def _next_due(self) -> float | None:
        while self._heap:
            due, key = self._heap[0]
            if self._due.get(key) == due and key not in self._begun:
                return due
            heapq.heappop(self._heap)
        return None
