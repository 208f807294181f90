"""What Ctrl-C does, and that any signal that ends a program does the same: ends what it started."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from whisperfleet.exit_codes import ExitCode

__all__ = ["interrupted_at_once", "interrupted_by_any_end"]


@contextmanager
def interrupted_at_once() -> Iterator[None]:
    """End with a word on Ctrl-C while there is nothing to clean up: a traceback tells nobody."""

    def end(_number: int, _frame: object) -> None:
        try:
            os.write(2, b"interrupted\n")
        finally:
            os._exit(ExitCode.INTERRUPTED)

    # A shell without job control has what it starts in the background ignore SIGINT.
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


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
