"""What a client tells of jobs and queues, and how it reads that from Redis."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import redis

from whisperfleet.contract.codes import Code
from whisperfleet.contract.keys import Keys
from whisperfleet.contract.states import State

__all__ = [
    "SCAN_COUNT",
    "Cancelled",
    "JobStatus",
    "QueueStats",
    "Redriven",
    "StreamStats",
    "entry_time",
    "find_sources",
    "read_status",
]


# Keys that Redis looks at in one step of a scan: far below a millisecond.
SCAN_COUNT = 1000


class Cancelled(StrEnum):
    """What a cancel came to.

    CANCELLED: the job waited and is over. RUNNING: its worker stops it with its next beat. ENDED:
    too late. NOTED: no such job is known yet; if it comes it does not run. UNKNOWN: there is none.
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


@dataclass(frozen=True, slots=True)
class JobStatus:
    """Where a job is in its life. Times are in UTC; None where it has not come to that.

    `source` is `<priority>` or `<priority>:<tenant>`, `worker` the consumer that began it last.
    """

    id: str
    state: State
    source: str
    epoch: int = 0
    worker: str | None = None
    deliveries: int = 0
    releases: int = 0
    retries: int = 0
    code: Code | None = None
    tenant: str | None = None
    cancel_requested: bool = False
    enqueued_at: datetime | None = None
    claimed_at: datetime | None = None
    finished_at: datetime | None = None
    history: str = ""


@dataclass(frozen=True, slots=True)
class StreamStats:
    """The load of one input stream. `length` counts what waits and what runs.

    What was handed back, waits for the delay of a retry, or was held by a worker that is gone,
    waits. `oldest_enqueued_at` is when the job that has waited longest was sent.
    """

    source: str
    length: int
    running: int
    oldest_enqueued_at: datetime | None


@dataclass(frozen=True, slots=True)
class QueueStats:
    """The load of a queue; `totals` are counts by state, and of incidents, since it was made."""

    streams: tuple[StreamStats, ...]
    dead_letters: int
    totals: Mapping[str, int]


def find_sources(client: redis.Redis, keys: Keys) -> set[str]:
    """Return `<priority>` or `<priority>:<tenant>` of every input stream that Redis holds."""
    prefix = f"{keys.prefix}in:"
    found: set[str] = set()
    for key in client.scan_iter(f"{prefix}*", count=SCAN_COUNT, _type="stream"):
        source = key.decode("utf-8", "replace").removeprefix(prefix)
        priority, _, tenant = source.partition(":")
        # What cannot be the name of a stream is somebody else's key.
        with suppress(ValueError):
            if keys.stream(priority, tenant or None).encode() == key:
                found.add(source)
    return found


def entry_time(entry: str) -> datetime:
    """Return when an entry was added, from its id."""
    return datetime.fromtimestamp(int(entry.partition("-")[0]) / 1000, UTC)


def read_status(job_id: str, known: Mapping[str, str]) -> JobStatus:
    """Read a job's hash."""

    def moment(name: str) -> datetime | None:
        return datetime.fromtimestamp(int(known[name]) / 1000, UTC) if name in known else None

    return JobStatus(
        id=job_id,
        state=State(known["state"]),
        source=known.get("stream", ""),
        epoch=int(known.get("epoch", 0)),
        worker=known.get("owner"),
        deliveries=int(known.get("deliveries", 0)),
        releases=int(known.get("releases", 0)),
        retries=int(known.get("retries", 0)),
        code=Code(known["code"]) if known.get("code") else None,
        tenant=known.get("tenant") or None,
        cancel_requested="cancel" in known,
        enqueued_at=entry_time(known["entry"]) if "entry" in known else None,
        claimed_at=moment("claimed"),
        finished_at=moment("finished"),
        history=known.get("history", ""),
    )
