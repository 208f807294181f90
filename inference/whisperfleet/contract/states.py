"""The life of a job.

queued -> running (with an epoch) -> done | failed | dead | cancelled | expired. A release or a
crash returns a running job to queued; a redrive takes a dead one back to queued.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

__all__ = ["TERMINAL", "AnyState", "State"]


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

# As it is read: a newer minor version may have more of them, which stay text.
AnyState = Annotated[State | str, Field(union_mode="left_to_right")]
