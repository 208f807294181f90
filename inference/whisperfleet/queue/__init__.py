"""The queue on Redis Streams: at-least-once execution, exactly-once visible results.

An entry leaves its stream only when its job has ended, so a stream's length is the number of jobs
that wait or run. Who claims a job gets a new epoch of it, and only the newest epoch can publish.
Every change is one script in `scripts`; how a claim ends is an `Outcome`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

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

# What reads jobs and ends them knows their models, which take half a process's start. The process
# that renews leases does without: it imports this package and none of these.
_HOMES: Final = {
    "Buried": "outcomes",
    "Concluded": "outcomes",
    "Ending": "outcomes",
    "Left": "outcomes",
    "Outcome": "outcomes",
    "Released": "outcomes",
    "Retried": "outcomes",
    "Settled": "outcomes",
    "WorkQueue": "queue",
}


def __getattr__(name: str) -> Any:
    if home := _HOMES.get(name):
        return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
