"""A watch over tests that need nothing but the code: neither a process nor an address."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

_FORBIDDEN: Final = {
    "os.exec": "becomes another program",
    "os.fork": "forks",
    "os.posix_spawn": "starts a process",
    "os.system": "starts a shell",
    "socket.bind": "binds a socket",
    "socket.connect": "connects a socket",
    "subprocess.Popen": "starts a process",
}


class _Watch:
    """What the code does while `watched` is not None.

    Threads of earlier tests may still be at work, so those that were there before are not watched.
    """

    def __init__(self) -> None:
        self.watched: list[str] | None = None
        self.others: set[int | None] = set()

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        watched, doing = self.watched, _FORBIDDEN.get(event)
        if watched is None or doing is None or threading.get_ident() in self.others:
            return
        # The first argument of a socket's event is the socket.
        what = arguments[1 if event.startswith("socket.") else 0 : 2]
        watched.append(f"{doing} ({', '.join(map(str, what))})" if what else doing)


_WATCH: Final = _Watch()
# It stays until the process ends.
sys.addaudithook(_WATCH)


@contextmanager
def code_alone() -> Iterator[None]:
    """Fail at the end where something was started or an address was used meanwhile."""
    here = threading.current_thread()
    _WATCH.others = {thread.ident for thread in threading.enumerate() if thread is not here}
    seen: list[str] = []
    _WATCH.watched = seen
    try:
        yield
    finally:
        _WATCH.watched = None
    if seen:
        told = "; ".join(dict.fromkeys(seen))
        pytest.fail(f"this test {told}: move it to tests/integration", pytrace=False)
