"""The clients of the queue: producers send jobs and follow them, administrators look after it.

`Client` is a producer for threads, `AsyncClient` one for an event loop, `Admin` an administrator.
None needs more than pydantic and redis. A client that says whose it is sees no other tenant's jobs;
whoever has the password of the whole queue can read everything in it all the same.
"""

from typing import TYPE_CHECKING, Any

from whisperfleet.client.admin import Admin
from whisperfleet.client.client import Client
from whisperfleet.client.reports import (
    Cancelled,
    Dropped,
    JobStatus,
    QueueStats,
    Redriven,
    StreamStats,
    TenantUsage,
)

if TYPE_CHECKING:
    from whisperfleet.client.async_client import AsyncClient

__all__ = [
    "Admin",
    "AsyncClient",
    "Cancelled",
    "Client",
    "Dropped",
    "JobStatus",
    "QueueStats",
    "Redriven",
    "StreamStats",
    "TenantUsage",
]


def __getattr__(name: str) -> Any:
    # What runs without an event loop does not load it.
    if name == "AsyncClient":
        from whisperfleet.client.async_client import AsyncClient  # noqa: PLC0415

        return AsyncClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
