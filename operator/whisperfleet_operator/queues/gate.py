"""Who may contact a server that may be dead.

A dead server costs whoever asks it a time-out. So whoever comes to a server that is not known to
live has a thread of the gate's own knock at it, at most one at a time and ever less often, and goes
on without it after a moment. Dead Redis servers, however many and however many services are on
them, leave the operator's threads to the others.
"""

import threading
import time
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field

__all__ = ["PATIENCE_SECONDS", "Gate", "NotNowError"]

_FIRST_PAUSE_SECONDS = 2.0
_LONGEST_PAUSE_SECONDS = 30.0
# A server that lives answers in milliseconds.
PATIENCE_SECONDS = 0.25
# One that has taken longer than this over an answer may have died.
_SUSPECT_SECONDS = 0.5
_KNOCKING_THREADS = 32
# Who has not been asked for by then belongs to services that are gone.
_FORGOTTEN_SECONDS = 300.0


class NotNowError(Exception):
    """The server is not to be contacted now: it has just failed, or it is yet to answer.

    `failure` is what the last contact raised; None where there has been none yet.
    """

    def __init__(self, failure: Exception | None) -> None:
        super().__init__(str(failure) if failure else "the server has not answered yet")
        self.failure = failure


@dataclass(slots=True)
class _Server:
    healthy: bool = False
    failure: Exception | None = None
    failures: int = 0
    closed_until: float = float("-inf")
    knock: Future[None] | None = None
    # When each contact that is under way began.
    begun: list[float] = field(default_factory=list)
    asked_for: float = 0.0


class Gate:
    """One entry per server, by any name for it. `failures` are what a dead one makes calls raise.

    `patience_seconds` is how long a caller waits for a knock to be answered.
    """

    def __init__(
        self,
        *failures: type[Exception],
        clock: Callable[[], float] = time.monotonic,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._failures = failures
        self._clock = clock
        self._patience = patience_seconds
        self._servers: dict[Hashable, _Server] = {}
        self._lock = threading.Lock()
        self._knocking = ThreadPoolExecutor(_KNOCKING_THREADS, "knock")

    @contextmanager
    def contact(self, name: Hashable, knock: Callable[[], object]) -> Iterator[None]:
        """Enter to contact a server that lives; `knock` is a short call that shows whether it does.

        Raises NotNowError instead where it is not known to.
        """
        server = self._enter(name, knock)
        began = self._clock()
        with self._lock:
            server.begun.append(began)
        try:
            yield
        except self._failures as failure:
            self._heard(server, failure)
            raise
        finally:
            with self._lock:
                server.begun.remove(began)

    def _enter(self, name: Hashable, knock: Callable[[], object]) -> _Server:
        with self._lock:
            now = self._clock()
            self._forget_idle(now)
            server = self._servers.setdefault(name, _Server())
            server.asked_for = now
            if server.healthy:
                if server.begun and now - min(server.begun) > _SUSPECT_SECONDS:
                    raise NotNowError(None)
                return server
            if server.knock is None and now >= server.closed_until:
                server.knock = self._knocking.submit(self._knock, server, knock)
            under_way = server.knock
        if under_way is not None:
            wait([under_way], self._patience)
        with self._lock:
            if not server.healthy:
                raise NotNowError(server.failure)
        return server

    def _forget_idle(self, now: float) -> None:
        for name, server in list(self._servers.items()):
            in_use = server.begun or server.knock is not None
            if not in_use and now - server.asked_for > _FORGOTTEN_SECONDS:
                del self._servers[name]

    def _knock(self, server: _Server, knock: Callable[[], object]) -> None:
        failure: Exception | None = None
        try:
            knock()
        except self._failures as error:
            failure = error
        except Exception:  # noqa: BLE001, S110 - an answer, even if not to our liking
            pass
        self._heard(server, failure)
        with self._lock:
            server.knock = None

    def _heard(self, server: _Server, failure: Exception | None) -> None:
        with self._lock:
            if failure is None:
                server.healthy, server.failure, server.failures = True, None, 0
            elif server.healthy or server.knock is not None:
                # Of several that found it dead together the first is counted.
                server.healthy, server.failure = False, failure
                server.failures += 1
                pause = _FIRST_PAUSE_SECONDS * 2.0 ** min(server.failures - 1, 10)
                server.closed_until = self._clock() + min(_LONGEST_PAUSE_SECONDS, pause)
