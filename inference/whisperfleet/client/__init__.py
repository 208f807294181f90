"""The producer's side of the queue: send jobs, follow them, fetch their results.

Needs nothing but pydantic and redis. A client that says whose it is sees no other tenant's jobs;
whoever has the password of the whole queue can read everything in it all the same.
"""

from whisperfleet.client.client import Client
from whisperfleet.client.reports import (
    Cancelled,
    Dropped,
    JobStatus,
    QueueStats,
    Redriven,
    StreamStats,
)

__all__ = ["Cancelled", "Client", "Dropped", "JobStatus", "QueueStats", "Redriven", "StreamStats"]
