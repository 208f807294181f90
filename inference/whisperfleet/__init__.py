"""Whisperfleet, the data plane: contract, queue, worker, client and command line."""

from importlib.metadata import version

__all__ = ["__version__"]

__version__ = version("whisperfleet")
