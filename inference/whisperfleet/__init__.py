"""Whisperfleet, the data plane: contract, queue, worker, client and command line."""

from typing import TYPE_CHECKING, Any

__all__ = ["__version__"]

if TYPE_CHECKING:
    __version__: str


def __getattr__(name: str) -> Any:
    """Read the version when it is asked for: few of a worker's processes do, and it takes long."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version  # noqa: PLC0415

    return version("whisperfleet")
