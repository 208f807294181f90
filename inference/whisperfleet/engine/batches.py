"""Many items through a call that takes some at a time, and what happens when the call fails."""

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from whisperfleet.engine.lanes import Lanes

__all__ = ["BatchSize", "in_batches", "is_out_of_memory", "one_by_one"]

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Answer = TypeVar("Answer")

_ONE_LANE = Lanes()

# CTranslate2 raises RuntimeError for everything that the device says. These are the words of
# cudaErrorMemoryAllocation, of cuBLAS's and of the CPU allocator's failure; std::bad_alloc becomes
# MemoryError.
_OUT_OF_MEMORY = ("out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "failed to allocate")


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether a smaller batch could have succeeded."""
    text = str(error)
    return isinstance(error, MemoryError) or any(words in text for words in _OUT_OF_MEMORY)


class BatchSize:
    """How many items a call may hold. It starts at `most` and only ever learns to be smaller."""

    def __init__(self, name: str, most: int) -> None:
        if most < 1:
            raise ValueError(f"a batch of {most} holds nothing; the least is 1")
        self._name = name
        self._now = most

    @property
    def now(self) -> int:
        """The number of items that fit, as far as is known."""
        return self._now

    def learn(self, fits: int) -> None:
        """Remember that no more than so many can be hoped to fit."""
        if fits < self._now:
            log.warning(
                "the device has no memory for %d windows at once, from now on %s takes %d",
                self._now,
                self._name,
                fits,
            )
            self._now = fits


def in_batches(
    call: Callable[[Sequence[Item]], Sequence[Answer]],
    items: Sequence[Item],
    size: BatchSize,
    lanes: Lanes = _ONE_LANE,
) -> list[Answer | Exception]:
    """Return the answer to each item, or the exception that it alone causes.

    The items are shared among the lanes. A call that fails is repeated with each half of its items.
    That finds the one item that fails all of them, and makes do with less memory; `size` remembers
    the latter.
    """

    def answer(share: Sequence[Item]) -> list[Answer | Exception]:
        answers: list[Answer | Exception] = []
        while len(answers) < len(share):
            answers += _halving(call, share[len(answers) : len(answers) + size.now], size)
        return answers

    return [one for share in lanes.map(answer, lanes.shares(items)) for one in share]


def one_by_one(
    call: Callable[[Item], Answer], items: Sequence[Item], lanes: Lanes = _ONE_LANE
) -> list[Answer | Exception]:
    """Return the answer to each item, or the exception that it causes."""
    return in_batches(
        lambda some: [call(item) for item in some], items, BatchSize("each", 1), lanes
    )


def _halving(
    call: Callable[[Sequence[Item]], Sequence[Answer]], items: Sequence[Item], size: BatchSize
) -> list[Answer | Exception]:
    try:
        return list(call(items))
    except Exception as error:  # noqa: BLE001 - whatever it is, one item may be its only cause
        if len(items) == 1:
            # Its traceback would keep the frames, and with them the batch, in memory.
            return [error.with_traceback(None)]
        middle = (len(items) + 1) // 2
        if is_out_of_memory(error):
            size.learn(middle)
    return [*_halving(call, items[:middle], size), *_halving(call, items[middle:], size)]
