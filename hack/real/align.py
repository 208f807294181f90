"""Which word of a transcript is which word of the truth: Levenshtein's alignment."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Alignment", "align"]

_SAME_PLACE: Final = 0
_DELETED: Final = 1
_INSERTED: Final = 2


@dataclass(frozen=True, slots=True)
class Alignment:
    """The cheapest way from the truth to what was heard.

    `matched` leads from the place of each word heard right to its place in the truth; `deleted`
    are the places in the truth of words that nothing stands for.
    """

    matched: dict[int, int]
    deleted: frozenset[int]
    substitutions: int
    insertions: int

    @property
    def wrong(self) -> int:
        """How many words were changed, left out or added."""
        return self.substitutions + self.insertions + len(self.deleted)


def align(truth: Sequence[str], heard: Sequence[str]) -> Alignment:
    """Align two texts of n and m words; it takes n x m bytes."""
    steps = _steps(truth, heard)
    matched: dict[int, int] = {}
    deleted: set[int] = set()
    substitutions = insertions = 0
    i, j = len(truth), len(heard)
    while i or j:
        step = steps[i, j]
        if step == _INSERTED:
            insertions += 1
        elif step == _DELETED:
            deleted.add(i - 1)
        elif truth[i - 1] == heard[j - 1]:
            matched[j - 1] = i - 1
        else:
            substitutions += 1
        i -= step != _INSERTED
        j -= step != _DELETED
    return Alignment(dict(reversed(matched.items())), frozenset(deleted), substitutions, insertions)


def _steps(truth: Sequence[str], heard: Sequence[str]) -> NDArray[np.uint8]:
    """Return the last step of the cheapest way to each pair of places, shape (n + 1, m + 1)."""
    ids: dict[str, int] = {}
    own = [ids.setdefault(word, len(ids)) for word in truth]
    other = np.array([ids.setdefault(word, len(ids)) for word in heard], np.int64)
    places = np.arange(len(heard) + 1)
    steps = np.full((len(truth) + 1, len(heard) + 1), _INSERTED, np.uint8)
    steps[:, 0] = _DELETED
    costs = places
    for number, word in enumerate(own, start=1):
        changed = costs[:-1] + (other != word)
        left_out = costs[1:] + 1
        best = np.concatenate([[number], np.minimum(changed, left_out)])
        # An addition costs one more than the place before it, all along the row.
        costs = np.minimum.accumulate(best - places) + places
        row = np.where(changed <= left_out, _SAME_PLACE, _DELETED)
        steps[number, 1:] = np.where(costs[1:] < best[1:], _INSERTED, row)
    return steps
