"""Whisperfleet, the data plane: contract, queue, worker, client and command line.

What a program that sends jobs needs can be imported from here::

    from whisperfleet import Client, Job, RedisSettings

    with Client(RedisSettings("redis://127.0.0.1:6379/0"), "default.calls") as client:
        job_id = client.submit(Job(url="https://example.org/call.ogg"))

Errors are in `whisperfleet.errors`, other reports of the clients in `whisperfleet.client`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

__all__ = [
    "Admin",
    "AsyncClient",
    "Client",
    "Job",
    "RedisSettings",
    "Result",
    "__version__",
]

if TYPE_CHECKING:
    from whisperfleet.client import Admin, AsyncClient, Client
    from whisperfleet.contract.job import Job
    from whisperfleet.contract.result import Result
    from whisperfleet.queue import RedisSettings

    __version__: str

_HOMES: Final = {
    "Admin": "whisperfleet.client",
    "AsyncClient": "whisperfleet.client",
    "Client": "whisperfleet.client",
    "Job": "whisperfleet.contract.job",
    "RedisSettings": "whisperfleet.queue",
    "Result": "whisperfleet.contract.result",
}


def __getattr__(name: str) -> Any:
    """Load a name when it is asked for: every process imports this package, few need all of it."""
    if home := _HOMES.get(name):
        return getattr(import_module(home), name)
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - takes long

        return version("whisperfleet")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
