"""Standard streams that are closed."""

import os

__all__ = ["occupy_closed_streams"]


def occupy_closed_streams() -> None:
    """Let no file and no connection get the number of a standard stream that was closed (``>&-``).

    Python has None for such a stream all the same.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
