"""What a worker holds while it works on a job."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["Claim", "Lease", "Renewal", "Stop"]


class Renewal(StrEnum):
    """The answer to the renewal of one lease."""

    OK = "ok"
    FENCED = "fenced"
    CANCELLED = "cancelled"


class Stop(StrEnum):
    """Why a job stops before its end."""

    DRAINING = "draining"
    ENGINE_LOST = "engine_lost"
    CANCELLED = "cancelled"
    FENCED = "fenced"
    TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to finish a job, as long as `epoch` is the job's newest.

    `stream` is the key of the stream and `entry_id` the job's entry in it.
    """

    stream: str
    entry_id: str
    job_id: str
    epoch: int


@dataclass(frozen=True, slots=True, eq=False)
class Claim(Lease):
    """A job that this worker has begun; two claims are equal when their leases are.

    `stream_name` is what follows `in:` in the stream's name: `<priority>` or `<priority>:<tenant>`.
    `deliveries` counts how often the job was begun without an end, this time included; `releases`
    and `retries` how often it came back in order. `enqueued_at` and `claimed_at` are Unix seconds
    of the server's clock. A `suspect` may have brought down its former workers: run it alone.
    """

    stream_name: str
    deliveries: int
    releases: int
    retries: int
    fields: Mapping[bytes, bytes] = field(repr=False)
    enqueued_at: float
    claimed_at: float
    suspect: bool

    @property
    def priority(self) -> str:
        """The priority of the stream that the job came from."""
        return self.stream_name.partition(":")[0]

    @property
    def tenant(self) -> str | None:
        """Whose job it is: the owner of its stream, or who its entry names."""
        # Cut to what a tenant's name may have: it goes into the result and the event of any entry.
        return self.fields.get(b"tenant", b"")[:63].decode("utf-8", "replace") or None
