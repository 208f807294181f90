"""Many items through a call that takes some at a time, and what happens when the call fails."""

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import Final, TypeVar

from whisperfleet.engine.ctranslate2.parallel_calls import ParallelCalls

__all__ = ["BatchSize", "in_batches", "is_out_of_memory", "one_by_one"]

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Answer = TypeVar("Answer")

_ONE_CALL = ParallelCalls()

# CTranslate2 raises RuntimeError for everything that the device says. These are the words of
# cudaErrorMemoryAllocation, of cuBLAS's and of the CPU allocator's failure; std::bad_alloc becomes
# MemoryError.
_OUT_OF_MEMORY = ("out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "failed to allocate")

# So many calls must succeed before twice as many items are tried again; twice as many after each
# failure, so that what never fits is hardly ever tried.
_PATIENCE_CALLS: Final = 64
_MOST_PATIENCE_CALLS: Final = 4096


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether a smaller batch could have succeeded."""
    text = str(error)
    return isinstance(error, MemoryError) or any(words in text for words in _OUT_OF_MEMORY)


class BatchSize:
    """How many items a call may hold: `most`, less where memory runs out, and slowly more again.

    Memory may have run out because of a neighbour on the device, which goes. Safe to share between
    threads.
    """

    def __init__(self, name: str, most: int) -> None:
        if most < 1:
            raise ValueError(f"a batch of {most} holds nothing; the least is 1")
        self._name = name
        self._most = most
        self._now = most
        self._calls = 0
        self._patience = _PATIENCE_CALLS
        self._lock = threading.Lock()

    @property
    def now(self) -> int:
        """The number of items that fit, as far as is known."""
        return self._now

    def ran_out(self, asked: int, next_try: int) -> None:
        """Remember that so many did not fit, and how many are tried instead."""
        with self._lock:
            self._calls = 0
            if next_try >= self._now:
                return
            self._now = next_try
            self._patience = min(2 * self._patience, _MOST_PATIENCE_CALLS)
        log.warning(
            "the device has no memory for %d windows at once, from now on %s takes %d; more are "
            "tried again later",
            asked,
            self._name,
            next_try,
        )

    def succeeded(self) -> None:
        """Count a call that fitted; after many, twice as many items are tried."""
        with self._lock:
            self._calls += 1
            if self._now < self._most and self._calls >= self._patience:
                self._calls = 0
                self._now = min(2 * self._now, self._most)


def _all_alike(_item: object) -> Hashable:
    return None


def in_batches(
    call: Callable[[Sequence[Item]], Sequence[Answer]],
    items: Sequence[Item],
    size: BatchSize,
    calls: ParallelCalls = _ONE_CALL,
    kind: Callable[[Item], Hashable] = _all_alike,
) -> list[Answer | Exception]:
    """Return the answer to each item, or the exception that it alone causes.

    Only items of one kind share a call; the calls of all kinds run side by side as `calls` allows.
    A call that fails is repeated with each half of its items. That finds the one item that fails
    all of them, and makes do with less memory; `size` remembers the latter.
    """
    kinds: defaultdict[Hashable, list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        kinds[kind(item)].append(index)

    def answer(share: Sequence[int]) -> list[Answer | Exception]:
        answers: list[Answer | Exception] = []
        while len(answers) < len(share):
            some = share[len(answers) : len(answers) + size.now]
            answers += _halving(call, [items[index] for index in some], size)
        return answers

    shares = calls.shares(list(kinds.values()))
    answers: dict[int, Answer | Exception] = {}
    for share, own in zip(shares, calls.map(answer, shares), strict=True):
        answers |= zip(share, own, strict=True)
    return [answers[index] for index in range(len(items))]


def one_by_one(
    call: Callable[[Item], Answer], items: Sequence[Item], calls: ParallelCalls = _ONE_CALL
) -> list[Answer | Exception]:
    """Return the answer to each item, or the exception that it causes."""
    return in_batches(
        lambda some: [call(item) for item in some], items, BatchSize("each", 1), calls
    )


def _halving(
    call: Callable[[Sequence[Item]], Sequence[Answer]], items: Sequence[Item], size: BatchSize
) -> list[Answer | Exception]:
    try:
        answers = list(call(items))
    except Exception as error:  # noqa: BLE001 - whatever it is, one item may be its only cause
        if len(items) == 1:
            # Its traceback would keep the frames, and with them the batch, in memory.
            return [error.with_traceback(None)]
        middle = (len(items) + 1) // 2
        if is_out_of_memory(error):
            size.ran_out(len(items), middle)
    else:
        size.succeeded()
        return list(answers)
    return [*_halving(call, items[:middle], size), *_halving(call, items[middle:], size)]
