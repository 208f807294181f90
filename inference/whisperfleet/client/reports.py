"""What the clients tell of jobs and queues."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from whisperfleet.contract.result import AnyCode
from whisperfleet.contract.states import TERMINAL, AnyState

__all__ = [
    "Cancelled",
    "Dropped",
    "JobStatus",
    "QueueStats",
    "Redriven",
    "StreamStats",
    "TenantUsage",
]


class Cancelled(StrEnum):
    """What a cancel came to.

    CANCELLED: the job waited and is over. RUNNING: its worker stops it at the next renewal of
    its lease. ENDED: too late. NOTED: no such job is known yet; if it comes it does not
    run. UNKNOWN: there is none.
    """

    CANCELLED = "cancelled"
    RUNNING = "running"
    ENDED = "ended"
    NOTED = "noted"
    UNKNOWN = "unknown"


class Redriven(StrEnum):
    """What a redrive came to.

    UNKNOWN: there is no such dead letter, or it was redriven before. EMPTY: the letter does not
    hold the whole job; send it anew. ALIVE: the job is not dead any more.
    """

    REDRIVEN = "redriven"
    UNKNOWN = "unknown"
    EMPTY = "empty"
    ALIVE = "alive"


class Dropped(StrEnum):
    """What dropping a dead letter came to.

    DROPPED: the letter is gone, the job's id free. UNKNOWN: there is no such letter and no such
    job. ALIVE: there is such a job and it is not dead.
    """

    DROPPED = "dropped"
    UNKNOWN = "unknown"
    ALIVE = "alive"


@dataclass(frozen=True, slots=True)
class JobStatus:
    """Where a job is in its life. Times are in UTC; None where it has not come to that.

    A state or a code that this version does not know is text. An id that tells no time gives none.
    `stream` is `<priority>` or `<priority>:<tenant>`, `worker` the consumer that began it last.
    """

    id: str
    state: AnyState
    stream: str
    epoch: int = 0
    worker: str | None = None
    deliveries: int = 0
    releases: int = 0
    retries: int = 0
    code: AnyCode | None = None
    tenant: str | None = None
    cancel_requested: bool = False
    enqueued_at: datetime | None = None
    claimed_at: datetime | None = None
    finished_at: datetime | None = None
    history: str = ""

    @property
    def has_ended(self) -> bool:
        """Whether it goes on no more."""
        return self.state in TERMINAL or self.finished_at is not None


@dataclass(frozen=True, slots=True)
class StreamStats:
    """The load of one input stream. `length` counts what waits and what runs.

    What was handed back, waits for the delay of a retry, or was held by a worker that is gone,
    waits. `oldest_enqueued_at` is when the job that has waited longest was sent.
    """

    name: str
    length: int
    running: int
    oldest_enqueued_at: datetime | None

    @property
    def waiting(self) -> int:
        """Jobs that no worker holds."""
        return self.length - self.running


@dataclass(frozen=True, slots=True)
class QueueStats:
    """The load of a queue; `totals` are counts by state, and of incidents, since it was made."""

    streams: tuple[StreamStats, ...]
    dead_letters: int
    totals: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class TenantUsage:
    """What the jobs of one tenant and class have used that ended, since the queue was made.

    `tenant` is None for jobs of nobody's, and `*` for those of more tenants than are kept apart.
    `device_seconds` are what the attempts took that ended a job, `queue_seconds` what those had
    waited before.
    """

    tenant: str | None
    priority: str
    jobs: int
    cached: int
    attempts: int
    windows: int
    audio_seconds: float
    speech_seconds: float
    device_seconds: float
    queue_seconds: float
