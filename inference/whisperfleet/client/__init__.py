"""The clients of the queue: producers send jobs and follow them, administrators look after it.

`Client` is a producer, `Admin` an administrator. Neither needs more than pydantic and redis. A
client that says whose it is sees no other tenant's jobs; whoever has the password of the whole
queue can read everything in it all the same.
"""

from whisperfleet.client.admin import Admin
from whisperfleet.client.client import Client
from whisperfleet.client.reports import (
    Cancelled,
    Dropped,
    JobStatus,
    QueueStats,
    Redriven,
    StreamStats,
)

__all__ = [
    "Admin",
    "Cancelled",
    "Client",
    "Dropped",
    "JobStatus",
    "QueueStats",
    "Redriven",
    "StreamStats",
]
