"""Any signal that ends a program ends it as Ctrl-C does: with what it started."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["interrupted_by_any_end"]


@contextmanager
def interrupted_by_any_end() -> Iterator[Callable[[], None]]:
    """Let whatever ends this process end its server and its worker as well, like Ctrl-C.

    Yields a check to call between steps: Python drops what a signal raises during a fork, and only
    prints it. The check raises it anew, so it is not printed.
    """
    ended = False

    def interrupt(_number: int, _frame: object) -> None:
        nonlocal ended
        ended = True
        raise KeyboardInterrupt

    def check() -> None:
        if ended:
            raise KeyboardInterrupt

    def drop(unraisable: "sys.UnraisableHookArgs") -> None:
        if not (ended and isinstance(unraisable.exc_value, KeyboardInterrupt)):
            former_hook(unraisable)

    former_hook, sys.unraisablehook = sys.unraisablehook, drop
    ends = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    former = {number: signal.signal(number, interrupt) for number in ends}
    try:
        yield check
    finally:
        sys.unraisablehook = former_hook
        for number, handler in former.items():
            signal.signal(number, handler)
