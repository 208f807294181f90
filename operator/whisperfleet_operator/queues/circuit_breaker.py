"""A circuit breaker for each server, so that a dead one does not hold up the callers of others.

A call to a dead server blocks until it times out. So a caller whose server is not known to be
healthy makes no call: a thread of the breaker probes the server, at most one at a time and with
growing pauses, and the caller waits a moment for the answer and then goes on without it. However
many Redis servers are dead, and however many services use them, the operator's threads stay free.
"""

import threading
import time
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field

from whisperfleet.backoff import Backoff

__all__ = ["PATIENCE_SECONDS", "CircuitBreaker", "CircuitOpenError"]

_BACKOFF = Backoff(first_seconds=2.0, most_seconds=30.0, jitter=0.0)
# A server that lives answers in milliseconds.
PATIENCE_SECONDS = 0.25
# A server that has not answered a call for longer than this may have died.
_SUSPECT_SECONDS = 0.5
_PROBE_THREADS = 32
# A server that nobody has used for so long belongs to services that are gone.
_FORGOTTEN_SECONDS = 300.0


class CircuitOpenError(Exception):
    """The server must not be contacted now: it has just failed, or has not answered its probe yet.

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
    open_until: float = float("-inf")
    probe: Future[None] | None = None
    # When each contact that is under way began.
    begun: list[float] = field(default_factory=list)
    asked_for: float = 0.0


class CircuitBreaker:
    """One entry per server, by any name for it. `failures` are what a dead one makes calls raise.

    `patience_seconds` is how long a caller waits for a probe to be answered.
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
        self._probing = ThreadPoolExecutor(_PROBE_THREADS, "probe")

    @contextmanager
    def contact(self, name: Hashable, probe: Callable[[], object]) -> Iterator[None]:
        """Enter to contact a server; `probe` is a short call that shows whether it is alive.

        Raises CircuitOpenError where the server is not known to be healthy.
        """
        server = self._enter(name, probe)
        began = self._clock()
        with self._lock:
            server.begun.append(began)
        try:
            yield
        except self._failures as failure:
            self._record(server, failure)
            raise
        finally:
            with self._lock:
                server.begun.remove(began)

    def _enter(self, name: Hashable, probe: Callable[[], object]) -> _Server:
        with self._lock:
            now = self._clock()
            self._forget_idle(now)
            server = self._servers.setdefault(name, _Server())
            server.asked_for = now
            if server.healthy:
                if server.begun and now - min(server.begun) > _SUSPECT_SECONDS:
                    raise CircuitOpenError(None)
                return server
            if server.probe is None and now >= server.open_until:
                server.probe = self._probing.submit(self._probe, server, probe)
            under_way = server.probe
        if under_way is not None:
            wait([under_way], self._patience)
        with self._lock:
            if not server.healthy:
                raise CircuitOpenError(server.failure)
        return server

    def _forget_idle(self, now: float) -> None:
        for name, server in list(self._servers.items()):
            in_use = server.begun or server.probe is not None
            if not in_use and now - server.asked_for > _FORGOTTEN_SECONDS:
                del self._servers[name]

    def _probe(self, server: _Server, probe: Callable[[], object]) -> None:
        failure: Exception | None = None
        try:
            probe()
        except self._failures as error:
            failure = error
        except Exception:  # noqa: BLE001, S110 - an answer, even if not to our liking
            pass
        self._record(server, failure)
        with self._lock:
            server.probe = None

    def _record(self, server: _Server, failure: Exception | None) -> None:
        with self._lock:
            if failure is None:
                server.healthy, server.failure, server.failures = True, None, 0
            elif server.healthy or server.probe is not None:
                # Of several that found it dead together the first is counted.
                server.healthy, server.failure = False, failure
                server.failures += 1
                server.open_until = self._clock() + _BACKOFF.seconds(server.failures)
