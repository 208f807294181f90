"""Standard streams that are closed, full, or whose other end is gone."""

import os
from contextlib import suppress
from typing import TextIO

__all__ = ["occupy_closed_streams", "silence"]


def occupy_closed_streams() -> None:
    """Let no file and no connection get the number of a standard stream that was closed (``>&-``).

    Python has None for such a stream all the same.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free


def silence(stream: TextIO) -> None:
    """Drop what a stream could not write, or Python would try again at its end, and complain."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
