"""How the project talks to Redis: one place for addresses, credentials and safe client settings."""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from whisperfleet.contract.times import MAX_SECONDS
from whisperfleet.errors import ConfigurationError
from whisperfleet.queue.pool import CONNECTIONS, Address, ClosingClient, ThriftyPool

__all__ = ["RedisSettings", "describe_url"]

_SCHEMES = ("redis", "rediss", "unix")
_NUMBER = re.compile(r"[0-9]{1,9}")
_DATABASE = re.compile(rf"(/({_NUMBER.pattern})?)?")
# Longer than any BLOCK (see `RedisSettings.max_block_seconds`), or redis-py would drop the
# connection under a reply that is on its way.
_BLOCK_MARGIN_SECONDS = 5.0
# Each thread that waits for a result has a connection; who finds none free waits for one.
_MOST_CONNECTIONS = 500
_FREE_CONNECTION_SECONDS = 30.0


def describe_url(url: str) -> str:
    """Return a Redis address without its credentials and options, fit for logs and errors."""
    try:
        parts = urlsplit(url)
        host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname
        where = host or ""
        if parts.port is not None:
            where += f":{parts.port}"
    except ValueError:
        return "an address that cannot be parsed"
    return f"{parts.scheme}://{where}{parts.path}"


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """Where Redis is and how to be let in.

    `url` is ``redis://``, ``rediss://`` (TLS) or ``unix://``; `username` and `password` win over
    those in it. `ca_file` is a PEM bundle to check the server's certificate with, in place of the
    system's. `timeout_seconds` bounds a reply, `connect_timeout_seconds` a connection. Neither the
    password nor the URL shows in the repr. Raises ConfigurationError for an address that cannot be
    used.
    """

    url: str = field(repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    timeout_seconds: float = 15.0
    connect_timeout_seconds: float = 5.0

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            _ = parts.port
        except ValueError:
            # No cause: the standard library's message repeats what may hold the password.
            raise ConfigurationError(
                "the Redis address cannot be parsed; write redis://HOST:PORT/DB, and "
                "percent-encode special characters of a password"
            ) from None
        if parts.scheme not in _SCHEMES:
            raise ConfigurationError(
                f"{self.describe()} is no Redis address; it begins with redis://, rediss:// or unix://"
            )
        options = parse_qs(parts.query, keep_blank_values=True)
        if unknown := options.keys() - {"db"}:
            raise ConfigurationError(
                f"{self.describe()} carries the option {min(unknown)!r}; only `db` may follow the "
                "question mark, everything else has a setting of its own"
            )
        # redis-py takes the database 0 where it cannot read the path.
        path = parts.path if parts.scheme != "unix" else ""
        if not _DATABASE.fullmatch(path) or not all(map(_NUMBER.fullmatch, options.get("db", ()))):
            raise ConfigurationError(
                f"{self.describe()} names a database that is no number; write redis://HOST:PORT/0"
            )
        if self.ca_file is not None and parts.scheme != "rediss":
            raise ConfigurationError(
                f"a CA file is set but {self.describe()} is not TLS; write rediss:// or leave "
                "the file out"
            )
        if self.ca_file is not None and not self.ca_file.is_file():
            raise ConfigurationError(f"the CA file {self.ca_file} does not exist or is no file")
        if not _BLOCK_MARGIN_SECONDS < self.timeout_seconds <= MAX_SECONDS:
            raise ConfigurationError(
                f"a Redis timeout of {self.timeout_seconds} s cannot be; take more than "
                f"{_BLOCK_MARGIN_SECONDS} s"
            )

    @property
    def max_block_seconds(self) -> float:
        """The longest BLOCK that a client of these settings survives."""
        return self.timeout_seconds - _BLOCK_MARGIN_SECONDS

    def describe(self) -> str:
        """Return the address without credentials."""
        return describe_url(self.url)

    def connect(self, most_seconds: float = math.inf) -> redis.Redis:
        """Return a client; it connects at its first command and may be shared by 500 threads.

        Once it is closed every command raises ClientClosedError; a command that is under way then
        may raise anything.

        One that never blocks may be told to wait less, for a reply as for a connection:
        `most_seconds`.

        Nothing is repeated behind the caller's back: redis-py's ten retries turn one lost reply
        into two XADD entries. Who sends an idempotent script repeats it for itself.
        """
        options = self.pool_options() | {
            "connection_class": CONNECTIONS[self.scheme],
            "retry": Retry(NoBackoff(), 0),
            "socket_timeout": min(self.timeout_seconds, most_seconds),
            "socket_connect_timeout": min(self.connect_timeout_seconds, most_seconds),
            "max_connections": _MOST_CONNECTIONS,
        }
        pool = ThriftyPool.from_url(self.url, **options)
        self.log_in(pool.connection_kwargs)
        # Unlike the constructor, which leaves the connections open when the client is closed.
        return ClosingClient.from_pool(pool)

    @property
    def scheme(self) -> str:
        """`redis`, `rediss` or `unix`."""
        return urlsplit(self.url).scheme

    def pool_options(self) -> dict[str, Any]:
        """Return what every pool of connections has, blocking or of asyncio."""
        options: dict[str, Any] = {
            "socket_timeout": self.timeout_seconds,
            "socket_connect_timeout": self.connect_timeout_seconds,
            "decode_responses": False,
            # RESP2: the same reply shapes on every server, and no maintenance notifications, which
            # redis-py switches on by itself under RESP3.
            "protocol": 2,
            # No CLIENT SETINFO: an account with the least rights has no CLIENT.
            "driver_info": None,
            "address": Address(),
            "timeout": _FREE_CONNECTION_SECONDS,
        }
        if self.scheme != "unix":
            # A Unix socket has no keep-alive.
            options["socket_keepalive"] = True
        if self.ca_file is not None:
            options["ssl_ca_certs"] = str(self.ca_file)
        return options

    def log_in(self, connection_options: dict[str, Any]) -> None:
        """Set the credentials: those of the URL win inside redis-py, ours must win over them."""
        if self.username is not None:
            connection_options["username"] = self.username
        if self.password is not None:
            connection_options["password"] = self.password
