"""Who is served next: everyone by turns, the urgent more often."""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["FairLine", "Owner"]

Item = TypeVar("Item")

# First items that are fewer than this share of a batch go alone.
_FEW_FIRST_ITEMS = 0.5


@dataclass(slots=True, eq=False)
class Owner:
    """Someone whose items are in line; of two that wait, the one of twice the weight has twice."""

    weight: int = 1
    items: int = 0
    last_turn: float = 0.0
    is_new: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class _Entry(Generic[Item]):
    owner: Owner
    item: Item
    turn: float
    number: int
    arrived: float
    is_first: bool


class FairLine(Generic[Item]):
    """Items in the order in which they are to be served.

    Owners take turns, however many items each has in line, and one of weight 8 has eight turns to
    another's one: who comes late with a great weight goes first, and nobody waits for ever.

    Where a few owners that came with one item would share a batch with many that others have, they
    get a batch to themselves: a short job then waits for the batch that runs, and not for a second
    one full of a long job. It costs a small batch for each full one at most. Not thread-safe.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._entries: list[_Entry[Item]] = []
        # The turn of the last item that was served (start-time fair queueing).
        self._turn = 0.0
        self._took_first_items = False
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, item: Item, owner: Owner) -> None:
        """Add an item behind its owner's others."""
        owner.last_turn = max(self._turn, owner.last_turn) + 1 / owner.weight
        owner.items += 1
        self._entries.append(
            _Entry(owner, item, owner.last_turn, next(self._numbers), self._clock(), owner.is_new)
        )
        owner.is_new = False

    def take(self, count: int) -> list[tuple[Item, float]]:
        """Remove the next items, at most `count`, and return them with the seconds they waited."""
        self._entries.sort(key=lambda entry: (entry.turn, entry.number))
        taken = self._choose(self._entries[:count])
        self._entries = [entry for entry in self._entries if entry not in taken]
        now = self._clock()
        for entry in taken:
            entry.owner.items -= 1
            self._turn = max(self._turn, entry.turn)
        return [(entry.item, now - entry.arrived) for entry in taken]

    def _choose(self, batch: list[_Entry[Item]]) -> list[_Entry[Item]]:
        """Return the part of a batch that is to go now."""
        greatest = max((entry.owner.weight for entry in batch), default=0)
        first = [
            entry
            for entry in batch
            if entry.is_first and entry.owner.items == 1 and entry.owner.weight == greatest
        ]
        self._took_first_items = (
            not self._took_first_items and 0 < len(first) < len(batch) * _FEW_FIRST_ITEMS
        )
        return first if self._took_first_items else batch

    def clear(self) -> list[Item]:
        """Remove and return all items."""
        items = []
        while self._entries:
            items += [item for item, _ in self.take(len(self))]
        return items
