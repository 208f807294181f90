"""Whatever ends this process lets it clear away first."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["interrupted_by_any_end", "undisturbed"]

_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def interrupted_by_any_end() -> Iterator[Callable[[], None]]:
    """Turn every request to end into KeyboardInterrupt.

    Yields a check to call now and then: Python drops what a signal raises during a fork.
    """
    ended = False

    def interrupt(_number: int, _frame: object) -> None:
        nonlocal ended
        ended = True
        raise KeyboardInterrupt

    def check() -> None:
        if ended:
            raise KeyboardInterrupt

    former = {number: signal.signal(number, interrupt) for number in _ENDS}
    try:
        yield check
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let no request to end cut a part short; programs that are started in it ignore them too."""
    former = {number: signal.signal(number, signal.SIG_IGN) for number in _ENDS}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
