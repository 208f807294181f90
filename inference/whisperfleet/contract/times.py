"""Moments from the numbers by which the queue notes them, and how long a time may be."""

from datetime import UTC, datetime
from typing import Final

__all__ = ["MAX_SECONDS", "MIN_KEPT_SECONDS", "check_seconds", "entry_time", "moment"]

# What is far above is out of the range of Redis's numbers, or of the system's clocks.
MAX_SECONDS: Final = 10 * 365 * 86_400.0
# Redis keeps nothing for less than a millisecond.
MIN_KEPT_SECONDS: Final = 0.001

# No server had a stream before. What says so counts something else, such as seconds or from one on.
_FIRST = datetime(2018, 1, 1, tzinfo=UTC)


def moment(milliseconds: str) -> datetime | None:
    """Return when that was, in UTC, or None where the text is no such number.

    A producer may choose ids for its entries, in micro- or nanoseconds or of any other kind.
    """
    try:
        then = datetime.fromtimestamp(int(milliseconds) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return then if then >= _FIRST else None


def entry_time(entry: str) -> datetime | None:
    """Return when an entry was added, from its id; None where the id does not tell."""
    return moment(entry.partition("-")[0])


def check_seconds(name: str, seconds: float, least: float = 0.0) -> None:
    """Raise ValueError, with the setting's name, for a time that cannot be waited or kept."""
    # Nothing compares to what is no number.
    if not (seconds > 0 and least <= seconds <= MAX_SECONDS):
        raise ValueError(
            f"{name} is {seconds}; it must be a number of seconds from {least or 'above 0'} to "
            f"{MAX_SECONDS:.0f} (ten years)"
        )
