"""Calls side by side."""

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Final, TypeVar

from whisperfleet.processors import usable_processors

__all__ = ["ParallelCalls", "share_processors"]

Item = TypeVar("Item")
Answer = TypeVar("Answer")

# Each call has activations of its own in memory.
_MOST_CALLS: Final = 4


def share_processors(threads: int) -> tuple[int, int]:
    """Return how many calls a model takes at a time on a CPU, and how many threads each.

    `threads` is their product at most; 0 takes what this process may use, 4 at most.
    """
    wanted = threads or min(_MOST_CALLS, usable_processors())
    calls = min(wanted, _MOST_CALLS)
    return calls, wanted // calls


class ParallelCalls:
    """So many calls may run at a time; with one, each on the thread that asks for it."""

    def __init__(self, count: int = 1) -> None:
        self.count = count

    def shares(self, groups: Sequence[Sequence[Item]]) -> list[Sequence[Item]]:
        """Return runs of items of one group each, none longer than what is due to a call."""
        share = max(1, -(-sum(map(len, groups)) // self.count))
        return [
            group[start : start + share]
            for group in groups
            for start in range(0, len(group), share)
        ]

    def map(self, call: Callable[[Item], Answer], items: Sequence[Item]) -> list[Answer]:
        """Return the answer to each item; the first one's exception where some raise."""
        if self.count == 1 or len(items) < 2:
            return [call(item) for item in items]
        answers: list[Future[Answer]] = [Future() for _ in items]
        waiting: queue.SimpleQueue[tuple[Item, Future[Answer]]] = queue.SimpleQueue()
        for pair in zip(items, answers, strict=True):
            waiting.put(pair)

        def serve() -> None:
            with suppress(queue.Empty):
                while True:
                    item, answer = waiting.get_nowait()
                    try:
                        answer.set_result(call(item))
                    except BaseException as error:  # noqa: BLE001 - it is the asker's to judge
                        answer.set_exception(error)

        for _ in range(min(self.count, len(items)) - 1):
            # A daemon, as one that is stuck in a call must not keep the process from ending.
            threading.Thread(target=serve, name="parallel-call", daemon=True).start()
        serve()
        return [answer.result() for answer in answers]
