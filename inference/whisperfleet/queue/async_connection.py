"""The connections of `whisperfleet.queue.pool` for asyncio: same settings, no retries."""

from typing import Any, Final

import redis.asyncio
from redis.asyncio.connection import AbstractConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from whisperfleet.queue.connection import RedisSettings
from whisperfleet.queue.pool import Address, Freshness

__all__ = ["connect"]

# A command holds its connection for a round trip alone, and the reader of events is one; commands
# of thousands of tasks take turns.
_MOST_CONNECTIONS: Final = 32


class _Following(AbstractConnection):
    """A connection that is made anew before its next use where it is not fresh."""

    def __init__(self, *, address: Address, **options: Any) -> None:
        self._freshness = Freshness(address)
        super().__init__(**options)

    async def connect(self) -> None:
        """Connect; the pool calls it before each use."""
        if self._freshness.is_over():
            await self.disconnect()
        await super().connect()  # type: ignore[no-untyped-call]

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        """Log in."""
        self._freshness.renew()
        await super().on_connect_check_health(check_health)

    async def read_response(self, *arguments: Any, **options: Any) -> Any:
        """Return a reply."""
        try:
            return await super().read_response(*arguments, **options)
        except redis.RedisError as error:
            self._freshness.hear(error)
            raise


class _Tcp(_Following, redis.asyncio.Connection):
    pass


class _Tls(_Following, redis.asyncio.SSLConnection):
    pass


class _UnixSocket(_Following, redis.asyncio.UnixDomainSocketConnection):
    pass


_CONNECTIONS: Final = {"redis": _Tcp, "rediss": _Tls, "unix": _UnixSocket}


def connect(settings: RedisSettings) -> redis.asyncio.Redis:
    """Return a client for one event loop; it connects at its first command.

    As with `RedisSettings.connect` nothing is repeated behind the caller's back.
    """
    # Not `from_url`, in which the class that redis-py has for the scheme wins over ours.
    options = {
        **parse_url(settings.url),
        **settings.pool_options(),
        "connection_class": _CONNECTIONS[settings.scheme],
        "retry": Retry(NoBackoff(), 0),
        "max_connections": _MOST_CONNECTIONS,
    }
    settings.log_in(options)
    pool = redis.asyncio.BlockingConnectionPool(**options)
    return redis.asyncio.Redis.from_pool(pool)
