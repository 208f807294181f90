"""How long to wait before the next try."""

import random
from dataclasses import dataclass

__all__ = ["Backoff"]

# Doubling so often has long reached any cap.
_MOST_DOUBLINGS = 20


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses that double with each failure in a row, from `first_seconds` to `most_seconds`.

    Each is shortened at random by up to the share `jitter`, so that many who failed together do not
    come back together; 0 leaves them as they are.
    """

    first_seconds: float
    most_seconds: float
    jitter: float = 0.5

    def seconds(self, failures: int) -> float:
        """Return the pause after the `failures`th failure in a row, of which the first is 1."""
        doubled = self.first_seconds * 2.0 ** min(failures - 1, _MOST_DOUBLINGS)
        share = random.uniform(1.0 - self.jitter, 1.0)  # noqa: S311 - no secret
        return min(self.most_seconds, doubled) * share
