"""How long to wait before the next try."""

import random

__all__ = ["backoff"]


def backoff(attempt: int, first_seconds: float, most_seconds: float) -> float:
    """Return an exponential pause with full jitter over its upper half."""
    pause: float = min(most_seconds, first_seconds * 2.0 ** min(attempt, 16))
    return pause * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret
