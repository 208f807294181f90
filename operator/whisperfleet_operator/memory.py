"""What the operator remembers of each service from one reconcile to the next.

None of it decides what is right: an operator that has just started remembers nothing and brings a
service to the same state. It spares calls and writes, and tells for how long something has lasted.
"""

import math
import threading
from collections.abc import Hashable
from dataclasses import dataclass, field

from whisperfleet_operator.plan import ChildRef
from whisperfleet_operator.queues import QueueAddress, Sample
from whisperfleet_operator.resource import TranscriptionServiceStatus
from whisperfleet_operator.work_queue import Key

__all__ = [
    "KnownCredentials",
    "LastSample",
    "LastWrite",
    "PoolMemory",
    "ServiceMemories",
    "ServiceMemory",
]


@dataclass(frozen=True, slots=True)
class LastSample:
    """A measurement of the queue at `address`, and when it was made."""

    address: QueueAddress
    at: float
    sample: Sample


@dataclass(frozen=True, slots=True)
class KnownCredentials:
    """What the Secrets held, by name and key, when `digest` was made of them."""

    digest: str
    values: dict[str, dict[str, str]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class LastWrite:
    """What was last applied to a child and what came back, as digests.

    `is_kept` says whether it came back as it was applied, `times` how often in a row the same was
    applied, the last time `at`.
    """

    wanted: str
    came_back: str
    is_kept: bool
    times: int
    at: float


@dataclass(slots=True)
class PoolMemory:
    """What is remembered of a pool.

    `since` holds, of each thing that is so, its value and since when that has been so. `wakes` is
    how often the operator has woken the pool since there was last no work for it, and `woken_at`
    when it last did.
    """

    credentials: KnownCredentials | None = None
    since: dict[Hashable, tuple[Hashable, float]] = field(default_factory=dict)
    wakes: int = 0
    woken_at: float = -math.inf


@dataclass(slots=True)
class ServiceMemory:
    """What is remembered of a service; one thread at a time uses it. Times are of one clock.

    `resync_due` is when its objects are to be read anew, `failing_since` when reconciles began to
    fail without a break. `is_resumed` says whether what its status told from before the operator
    started has been taken over. `left_to` is the service's uid and the release that looks after it,
    once somebody was told.
    """

    resync_due: float | None = None
    failing_since: float | None = None
    is_resumed: bool = False
    left_to: tuple[str, str] | None = None
    queue: LastSample | None = None
    writes: dict[ChildRef, LastWrite] = field(default_factory=dict)
    status: TranscriptionServiceStatus | None = None
    status_written_at: float = -math.inf
    pools: dict[str, PoolMemory] = field(default_factory=dict)

    def pool(self, name: str) -> PoolMemory:
        """Return what is remembered of a pool."""
        return self.pools.setdefault(name, PoolMemory())


class ServiceMemories:
    """The memory of each service; for any thread."""

    def __init__(self) -> None:
        self._memories: dict[Key, ServiceMemory] = {}
        self._lock = threading.Lock()

    def of(self, key: Key) -> ServiceMemory:
        """Return the memory of a service; an empty one at first sight."""
        with self._lock:
            return self._memories.setdefault(key, ServiceMemory())

    def forget(self, key: Key) -> None:
        """Forget a service that is gone."""
        with self._lock:
            self._memories.pop(key, None)

    def leave(self, key: Key) -> None:
        """Forget a service that another operator takes care of, but for what was said of that."""
        with self._lock:
            known = self._memories.pop(key, None)
            self._memories[key] = ServiceMemory(left_to=known.left_to if known else None)

    def statuses(self) -> dict[Key, TranscriptionServiceStatus]:
        """Return the last status of each service that has one."""
        with self._lock:
            memories = dict(self._memories)
        return {key: known.status for key, known in memories.items() if known.status is not None}
