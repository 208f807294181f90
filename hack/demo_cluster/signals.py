"""Parts that no request to end may cut short."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["undisturbed"]

_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let no request to end cut a part short; programs that are started in it ignore them too."""
    former = {number: signal.signal(number, signal.SIG_IGN) for number in _ENDS}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
