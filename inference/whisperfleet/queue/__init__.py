"""The queue on Redis Streams: at-least-once execution, exactly-once visible results.

An entry leaves its stream only when its job has ended, so a stream's length is the number of jobs
that wait or run. Who claims a job gets a new epoch of it, and only the newest epoch can publish.
Every change is one script in `scripts`; how a claim ends is an `Outcome`.
"""

from typing import TYPE_CHECKING, Any

from whisperfleet.queue.connection import RedisSettings, describe_url
from whisperfleet.queue.leases import Claim, Lease, Renewal
from whisperfleet.settings import QueuePolicy

if TYPE_CHECKING:
    from whisperfleet.queue.outcomes import (
        Buried,
        Concluded,
        Ending,
        Left,
        Outcome,
        Released,
        Retried,
        Settled,
    )
    from whisperfleet.queue.queue import WorkQueue

__all__ = [
    "Buried",
    "Claim",
    "Concluded",
    "Ending",
    "Lease",
    "Left",
    "Outcome",
    "QueuePolicy",
    "RedisSettings",
    "Released",
    "Renewal",
    "Retried",
    "Settled",
    "WorkQueue",
    "describe_url",
]

# What reads jobs and ends them knows their models, which take half a process's start.
_OF_OUTCOMES = frozenset(
    {"Buried", "Concluded", "Ending", "Left", "Outcome", "Released", "Retried", "Settled"}
)


def __getattr__(name: str) -> Any:
    # The process that renews leases does without: it imports this package and none of these.
    if name == "WorkQueue":
        from whisperfleet.queue.queue import WorkQueue  # noqa: PLC0415

        return WorkQueue
    if name in _OF_OUTCOMES:
        from whisperfleet.queue import outcomes  # noqa: PLC0415

        return getattr(outcomes, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
