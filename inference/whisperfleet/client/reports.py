"""What a client tells of jobs and queues, and how it reads that from Redis."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

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
    "count_handed_back",
    "entry_time",
    "find_sources",
    "read_load",
    "read_status",
]


# Keys that Redis looks at in one step of a scan: far below a millisecond.
SCAN_COUNT = 1000
_PAGE = 200


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

    What was handed back, or waits for the delay of a retry, waits.
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


def count_handed_back(client: redis.Redis, keys: Keys, source: str, stream: str) -> int:
    """Return how many entries are pending for a worker that has handed them back."""
    count, start = 0, "-"
    while True:
        try:
            page: Any = client.xpending_range(stream, keys.group, start, "+", _PAGE)
        except redis.ResponseError:
            # A stream that nobody has read from has no group yet.
            return count
        if not page:
            return count
        entries = [facts["message_id"].decode() for facts in page]
        own: Any = client.hmget(keys.running, [f"{source}/{entry}" for entry in entries])
        with client.pipeline(transaction=False) as pipeline:
            for entry, job_id in zip(entries, own, strict=True):
                job = keys.job(job_id.decode() if job_id else f"{source}-{entry}")
                pipeline.hget(job, "state")
            states = pipeline.execute(raise_on_error=False)
        count += states.count(State.QUEUED.value.encode())
        start = f"({entries[-1]}"


def read_load(source: str, replies: Sequence[Any], handed_back: int) -> StreamStats:
    """Read the replies to XLEN, XPENDING and XRANGE COUNT 1; raise one that is an error.

    `handed_back` of those that are pending run nowhere.
    """
    length, pending, oldest = replies
    for reply in (length, oldest):
        if isinstance(reply, redis.RedisError):
            raise reply
    running = 0 if isinstance(pending, redis.RedisError) else pending["pending"]
    return StreamStats(
        source=source,
        length=length,
        running=max(0, running - handed_back),
        oldest_enqueued_at=entry_time(oldest[0][0].decode()) if oldest else None,
    )
