"""A client's connections to Redis: kept fresh, passed between threads, closed for good."""

import select
import time
from dataclasses import dataclass
from queue import Empty
from typing import Any

import redis
from redis.connection import AbstractConnection

from whisperfleet.errors import ClientClosedError
from whisperfleet.queue.faults import Outlook, outlook

__all__ = ["CONNECTIONS", "Address", "ClosingClient", "Freshness", "ThriftyPool"]

# A former primary that was cut off from the others answers as if it were one still. Who is
# connected to it leaves it after so long, and what a firewall forgot is not asked any more.
_MOST_AGE_SECONDS = 30.0


@dataclass(slots=True)
class Address:
    """What the connections of one client share.

    `departures` is how often its address led to a wrong server. Once it `is_closed` no connection
    is made any more.
    """

    departures: int = 0
    is_closed: bool = False


class Freshness:
    """Whether a connection may be used again, or the address may lead elsewhere by now.

    It may once the server said to any connection of the client that it is not the one to ask, and
    from time to time. Made anew a connection needs no PING, which redis-py would send by itself.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self.renew()

    def renew(self) -> None:
        """Note that the connection has just been made."""
        self._departures = self._address.departures
        self._made = time.monotonic()

    def is_over(self) -> bool:
        """Return whether it has to be made anew before its next use."""
        aged = time.monotonic() > self._made + _MOST_AGE_SECONDS
        return aged or self._departures != self._address.departures

    def hear(self, error: redis.RedisError) -> None:
        """Take in what the server answered."""
        if outlook(error) is Outlook.WRONG_SERVER:
            self._address.departures += 1


class _Following(AbstractConnection):
    """A connection that is made anew before its next use where it is not fresh."""

    def __init__(self, *, address: Address, **options: Any) -> None:
        self._address = address
        self._freshness = Freshness(address)
        super().__init__(**options)

    def make_ready(self) -> None:
        """Connect, unless it is connected still and fresh; the pool calls it before each use."""
        if self._sock and (self._freshness.is_over() or self._heard.poll(0)):
            self.disconnect()
        if not self._sock:
            self.connect()  # type: ignore[no-untyped-call]

    def connect_check_health(self, *arguments: Any, **options: Any) -> None:
        """Connect; `make_ready` and a command that finds no connection call it.

        Raises ClientClosedError where the client is closed, also while this goes on: what another
        thread has just closed would stay open otherwise.
        """
        self._refuse_if_closed()
        super().connect_check_health(*arguments, **options)
        self._refuse_if_closed()

    def _refuse_if_closed(self) -> None:
        if self._address.is_closed:
            self.disconnect()  # type: ignore[no-untyped-call]
            raise ClientClosedError("the client is closed; make a new one")

    def on_connect_check_health(self, check_health: bool = True) -> None:
        """Log in."""
        self._freshness.renew()
        # Between two commands the server says nothing: what can be read then is its farewell.
        self._heard = select.poll()
        self._heard.register(self._sock, select.POLLIN)  # type: ignore[arg-type]
        super().on_connect_check_health(check_health)

    def read_response(self, *arguments: Any, **options: Any) -> Any:
        """Return a reply."""
        try:
            return super().read_response(*arguments, **options)
        except redis.RedisError as error:
            self._freshness.hear(error)
            raise


class _Tcp(_Following, redis.Connection):
    pass


class _Tls(_Following, redis.SSLConnection):
    pass


class _UnixSocket(_Following, redis.UnixDomainSocketConnection):
    pass


CONNECTIONS = {"redis": _Tcp, "rediss": _Tls, "unix": _UnixSocket}


class ThriftyPool(redis.BlockingConnectionPool):
    """What redis-py does for a command beside the command, without what we have no use for.

    It counts for OpenTelemetry and tries to read, to find nothing: of the CPU of a worker's calls
    a tenth or two (docs/benchmarks.md).
    """

    def get_connection(self, *_: Any, **__: Any) -> Any:
        """Return a connection that a command can be sent on; `release` it.

        Raises redis.ConnectionError where none is free in time, or none can be made.
        """
        self._checkpid()
        try:
            connection = self.pool.get(timeout=self.timeout)
            if connection is None:
                connection = self.make_connection()  # type: ignore[no-untyped-call]
        except Empty:
            raise redis.ConnectionError(
                f"all {self.max_connections} connections of this client are in use, and none came "
                f"free in {self.timeout:g} s; share it among fewer threads, or make another"
            ) from None
        try:
            connection.make_ready()
        except BaseException:
            self.release(connection)
            raise
        return connection

    def release(self, connection: Any) -> None:
        """Take a connection back."""
        self._checkpid()
        if self.owns_connection(connection):
            self.pool.put_nowait(connection)
        else:
            # It is of the process that this one was forked from.
            super().release(connection)  # type: ignore[no-untyped-call]


class ClosingClient(redis.Redis):
    """A client whose end is its end: redis-py's own connects again for the next command."""

    def close(self) -> None:
        """Close every connection, also those that other threads use."""
        self.connection_pool.connection_kwargs["address"].is_closed = True
        super().close()
