"""The life of a job.

queued -> running (with an epoch) -> done | failed | dead | cancelled | expired. A release or a
crash returns a running job to queued; a redrive takes a dead one back to queued.
"""

from enum import StrEnum

__all__ = ["TERMINAL", "State"]


class State(StrEnum):
    """The `state` of a job, in its hash, its result and its done event."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    DEAD = "dead"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


TERMINAL = frozenset({State.DONE, State.FAILED, State.DEAD, State.CANCELLED, State.EXPIRED})
