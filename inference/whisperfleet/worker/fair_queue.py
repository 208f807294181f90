"""Who is served next: everyone by turns, the urgent more often."""

import itertools
import time
from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["FairQueue", "Owner"]

Item = TypeVar("Item")

# Items that came alone and are fewer than this share of a batch have one to themselves.
_FEW_ALONE = 0.5


def _all_alike(_item: object) -> Hashable:
    return None


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

    @property
    def came_alone(self) -> bool:
        """Whether it is all that its owner has ever brought, as a short job does."""
        return self.is_first and self.owner.items == 1


class FairQueue(Generic[Item]):
    """Items in the order in which they are to be served.

    Owners take turns, however many items each has in line, and one of weight 8 has eight turns to
    another's one: who comes late with a great weight goes first, and nobody waits for ever. A turn
    is the finish tag of self-clocked fair queueing (Golestani, INFOCOM 1994).

    Who comes with one item goes before all of no greater weight that have more, however many those
    are: a short job waits for the batch that runs, and not until each long one has had its turn.
    Where few such items would share a batch with many others, they get a batch to themselves. That
    costs a small batch for each full one at most, and where they come without end, every other
    batch is by turns alone. Not thread-safe.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._entries: list[_Entry[Item]] = []
        # The turn of the last item that was served.
        self._turn = 0.0
        # Whether the last batch was nothing but items that came alone while others waited, and
        # whether it was full of them.
        self._was_alone = False
        self._was_full = False
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, item: Item, owner: Owner) -> None:
        """Add an item behind its owner's others."""
        owner.last_turn = turn = max(self._turn, owner.last_turn) + 1 / owner.weight
        if owner.is_new:
            passed = (
                entry.turn
                for entry in self._entries
                if entry.owner.weight < owner.weight
                or (entry.owner.weight == owner.weight and not entry.came_alone)
            )
            turn = min([turn, *passed])
        owner.items += 1
        self._entries.append(
            _Entry(owner, item, turn, next(self._numbers), self._clock(), owner.is_new)
        )
        owner.is_new = False

    def take(
        self, count: int, kind: Callable[[Item], Hashable] = _all_alike
    ) -> list[tuple[Item, float]]:
        """Remove the next items, at most `count`, and return them with the seconds they waited.

        Whose turn it is goes in any case, and others only where they are of the same kind.
        """
        by_turns = self._was_alone and self._was_full
        self._entries.sort(
            key=lambda entry: (
                entry.turn,
                -entry.owner.weight if entry.came_alone and not by_turns else 0,
                entry.number,
            )
        )
        alike = [e for e in self._entries if kind(e.item) == kind(self._entries[0].item)]
        taken = self._choose(alike[:count])
        others_wait = len(taken) < len(self._entries)
        self._was_alone = others_wait and all(entry.came_alone for entry in taken)
        self._was_full = len(taken) == count
        self._remove(taken)
        now = self._clock()
        for entry in taken:
            self._turn = max(self._turn, entry.turn)
        return [(entry.item, now - entry.arrived) for entry in taken]

    def _choose(self, batch: list[_Entry[Item]]) -> list[_Entry[Item]]:
        """Return the part of a batch that is to go now."""
        greatest = max((entry.owner.weight for entry in batch), default=0)
        alone = [entry for entry in batch if entry.came_alone and entry.owner.weight == greatest]
        few = 0 < len(alone) < len(batch) * _FEW_ALONE
        return alone if few and not self._was_alone else batch

    def _remove(self, gone: Collection[_Entry[Item]]) -> None:
        self._entries = [entry for entry in self._entries if entry not in gone]
        for entry in gone:
            entry.owner.items -= 1

    def drop(self, unwanted: Callable[[Item], bool]) -> list[Item]:
        """Remove and return the items that nobody wants any more."""
        gone = [entry for entry in self._entries if unwanted(entry.item)]
        self._remove(gone)
        return [entry.item for entry in gone]

    def clear(self) -> list[Item]:
        """Remove and return all items."""
        return self.drop(lambda _: True)
