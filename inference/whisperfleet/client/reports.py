"""What a client tells of jobs and queues, and how it reads that from Redis."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import redis
from pydantic import TypeAdapter

from whisperfleet.contract.codes import AnyCode, Code
from whisperfleet.contract.keys import Keys
from whisperfleet.contract.states import TERMINAL, AnyState, State
from whisperfleet.contract.times import entry_time, moment
from whisperfleet.queue.depths import read_depths

__all__ = [
    "SCAN_COUNT",
    "Cancelled",
    "Dropped",
    "JobStatus",
    "QueueStats",
    "Redriven",
    "StreamStats",
    "find_stream_names",
    "read_stats",
    "read_status",
]


# Keys that Redis looks at in one step of a scan: far below a millisecond.
SCAN_COUNT = 1000
# What is read of a job's hash.
_FIELDS = (
    *("state", "stream", "epoch", "owner", "deliveries", "releases", "retries", "code", "tenant"),
    *("cancel", "entry", "claimed", "finished", "history"),
)
_STATE: TypeAdapter[State | str] = TypeAdapter(AnyState)
_CODE: TypeAdapter[Code | str] = TypeAdapter(AnyCode)


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


@dataclass(frozen=True, slots=True)
class QueueStats:
    """The load of a queue; `totals` are counts by state, and of incidents, since it was made."""

    streams: tuple[StreamStats, ...]
    dead_letters: int
    totals: Mapping[str, int]


def find_stream_names(client: redis.Redis, keys: Keys) -> set[str]:
    """Return `<priority>` or `<priority>:<tenant>` of every input stream that Redis holds."""
    prefix = f"{keys.prefix}in:"
    found: set[str] = set()
    for key in client.scan_iter(f"{prefix}*", count=SCAN_COUNT, _type="stream"):
        stream_name = key.decode("utf-8", "replace").removeprefix(prefix)
        priority, _, tenant = stream_name.partition(":")
        # What cannot be the name of a stream is somebody else's key.
        with suppress(ValueError):
            if keys.stream(priority, tenant or None).encode() == key:
                found.add(stream_name)
    return found


def read_status(client: redis.Redis, keys: Keys, job_id: str) -> JobStatus | None:
    """Read a job's hash; None where none is known, or one of which only a cancel is."""
    values: Any = client.hmget(keys.job(job_id), _FIELDS)
    # A tenant is what an entry says, whatever bytes that are.
    known = {
        name: value.decode("utf-8", "replace")
        for name, value in zip(_FIELDS, values, strict=True)
        if value is not None
    }
    if "state" not in known:
        return None
    return JobStatus(
        id=job_id,
        state=_STATE.validate_python(known["state"]),
        stream=known.get("stream", ""),
        epoch=_count(known, "epoch"),
        worker=known.get("owner"),
        deliveries=_count(known, "deliveries"),
        releases=_count(known, "releases"),
        retries=_count(known, "retries"),
        code=_CODE.validate_python(known["code"]) if known.get("code") else None,
        tenant=known.get("tenant") or None,
        cancel_requested="cancel" in known,
        enqueued_at=entry_time(known.get("entry", "")),
        claimed_at=moment(known.get("claimed", "")),
        finished_at=moment(known.get("finished", "")),
        history=known.get("history", ""),
    )


def _count(known: Mapping[str, str], name: str) -> int:
    text = known.get(name, "")
    return int(text) if text.isdecimal() else 0


def read_stats(
    client: redis.Redis, keys: Keys, stream_names: Sequence[str], lease_seconds: float
) -> QueueStats:
    """Read the load of these streams, and the totals of the queue."""
    streams = [keys.stream_named(stream_name) for stream_name in stream_names]
    depths = read_depths(client, keys, streams, lease_seconds)
    totals: Any = client.hgetall(keys.counters)
    return QueueStats(
        streams=tuple(
            StreamStats(stream_name, depth.length, depth.running, depth.oldest)
            for stream_name, depth in zip(stream_names, depths, strict=True)
        ),
        dead_letters=int(client.xlen(keys.dead_letters)),
        totals={
            name.decode("utf-8", "replace"): int(count)
            for name, count in totals.items()
            if count.isdigit()
        },
    )
