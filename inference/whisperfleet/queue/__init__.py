"""The queue on Redis Streams: at-least-once execution, exactly-once visible results.

An entry leaves its stream only when its job has ended, so a stream's length is the number of jobs
that wait or run. Who claims a job gets a new epoch of it, and only the newest epoch can publish.
Every change is one script in `scripts`; how a claim ends is an `Outcome`.
"""

from whisperfleet.queue.connection import RedisSettings, describe_url
from whisperfleet.queue.leases import Claim, Lease, Renewal
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
from whisperfleet.settings import QueuePolicy

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
