"""The queue on Redis Streams: at-least-once execution, exactly-once visible results.

An entry leaves its stream only when its job has ended, so a stream's length is the number of jobs
that wait or run. Who claims a job gets a new epoch of it, and only the newest epoch can publish.
Every change is one script in `scripts`.
"""

from whisperfleet.queue.connection import RedisSettings, describe_url
from whisperfleet.queue.leases import Claim, Ending, Finished, Lease, Released, Renewal
from whisperfleet.queue.queue import WorkQueue
from whisperfleet.settings import QueuePolicy

__all__ = [
    "Claim",
    "Ending",
    "Finished",
    "Lease",
    "QueuePolicy",
    "RedisSettings",
    "Released",
    "Renewal",
    "WorkQueue",
    "describe_url",
]
