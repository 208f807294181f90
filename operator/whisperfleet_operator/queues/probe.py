"""Register a queue as ours, make its streams, and measure it."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import redis

from whisperfleet.contract.keys import Keys
from whisperfleet.errors import QueueUnavailableError, WhisperfleetError
from whisperfleet.queue import RedisSettings, describe_url
from whisperfleet.queue.depths import QueueDepth, measure
from whisperfleet.queue.faults import explain
from whisperfleet.queue.registration import QueueOwnedByAnotherError, inspect_server, register
from whisperfleet_operator.queues.circuit_breaker import (
    PATIENCE_SECONDS,
    CircuitBreaker,
    CircuitOpenError,
)
from whisperfleet_operator.resource import Reason

__all__ = ["QueueAddress", "QueueProbe", "QueueProblemError", "Sample"]

_CONNECT_SECONDS = 2.0
# The least that RedisSettings takes, and enough for a server that lives.
_ANSWER_SECONDS = 5.5
# Settings of a server change by hand, and a queue's owner next to never.
_REGISTRATION_SECONDS = 60.0
_IDLE_SECONDS = 300.0

_DEAD = (redis.ConnectionError, redis.TimeoutError)


class QueueProblemError(Exception):
    """The queue cannot be used: `reason` for programs, the text for people."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class QueueAddress:
    """Where a queue is and how to be let in; `ca` is PEM text.

    Who holds a job and has been silent for `lease_seconds` holds it no more; the workers' own word
    for it counts more, which the queue has once one of them has looked for work.
    """

    url: str = field(repr=False)
    queue_id: str
    streams: tuple[str, ...]
    lease_seconds: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca: str | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """A queue in one moment. `lengths` are in the order of the address's streams.

    `running` jobs are held by a worker within its lease, all others are `queued`: what no worker
    was given, what was handed back, and that whose worker fell silent. `oldest` is when the oldest
    of these was sent, by the server's clock. `warnings` say what could lose jobs.
    """

    lengths: tuple[int, ...]
    queued: int
    running: int
    dead_letters: int
    oldest: datetime | None
    taken: datetime
    warnings: tuple[str, ...]


class _Access(NamedTuple):
    url: str
    username: str | None
    password: str | None
    ca: str | None


@dataclass(slots=True)
class _Client:
    redis: redis.Redis
    used: float = 0.0


@dataclass(frozen=True, slots=True)
class _Registration:
    address: QueueAddress
    made: float
    warnings: tuple[str, ...]


class QueueProbe:
    """Looks at queues; one connection per server and credentials. For any thread.

    `folder` is where certificate authorities are written for the TLS library to read.
    `patience_seconds` is how long a caller waits for a server that has not answered before.
    """

    def __init__(
        self,
        folder: Path,
        clock: Callable[[], float] = time.monotonic,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._breaker = CircuitBreaker(*_DEAD, clock=clock, patience_seconds=patience_seconds)
        self._clients: dict[_Access, _Client] = {}
        self._registered: dict[str, _Registration] = {}
        self._lock = threading.Lock()

    def sample(self, address: QueueAddress, owner: str) -> Sample:
        """Register the queue for `owner`, make streams that are missing, and measure it.

        Raises QueueProblemError where that fails, and CircuitOpenError while it is not known yet
        whether the server is alive.
        """
        where = describe_url(address.url)
        try:
            client = self._client(address)
            with (
                # To the TLS library a wrong authority is a broken connection, and others have
                # the right one.
                self._breaker.contact((where, address.ca), lambda: _ping(client)),
                _refused_credentials(where, address),
            ):
                return self._measure(client, address, owner)
        except CircuitOpenError as error:
            if not isinstance(error.failure, redis.RedisError):
                raise
            raise _unreachable(where, error.failure) from error
        except _DEAD as error:
            raise _unreachable(where, error) from error
        except redis.RedisError as error:
            raise QueueProblemError(
                Reason.QUEUE_REFUSED, f"Redis at {where} {explain(error)}"
            ) from error
        except WhisperfleetError as error:
            raise QueueProblemError(Reason.QUEUE_REFUSED, f"Redis at {where}: {error}") from error

    def _measure(self, client: redis.Redis, address: QueueAddress, owner: str) -> Sample:
        warnings = self._register(client, address, owner)
        keys = Keys(address.queue_id)
        depth = measure(client, keys, address.streams, address.lease_seconds)
        missing = [
            key
            for key, stream in zip(address.streams, depth.streams, strict=True)
            if not stream.has_group
        ]
        if missing:
            _create_groups(client, missing, keys.group)
            depth = measure(client, keys, address.streams, address.lease_seconds)
        return _sample(depth, warnings)

    def _register(self, client: redis.Redis, address: QueueAddress, owner: str) -> tuple[str, ...]:
        self._drop_old_registrations()
        known = self._registered.get(owner)
        if known is not None and known.address == address:
            return known.warnings
        keys = Keys(address.queue_id)
        try:
            register(client, keys, owner)
        except QueueOwnedByAnotherError as error:
            raise QueueProblemError(
                Reason.QUEUE_OWNED_BY_ANOTHER,
                f"{error} (another id needs a new service: spec.queue.id cannot be changed)",
            ) from error
        except QueueUnavailableError as error:
            if isinstance(error.__cause__, _DEAD):
                raise error.__cause__ from None
            raise
        warnings = tuple(inspect_server(client))
        self._registered[owner] = _Registration(address, self._clock(), warnings)
        return warnings

    def _drop_old_registrations(self) -> None:
        now = self._clock()
        with self._lock:
            for owner, known in list(self._registered.items()):
                if now - known.made >= _REGISTRATION_SECONDS:
                    del self._registered[owner]

    def _client(self, address: QueueAddress) -> redis.Redis:
        access = _Access(address.url, address.username, address.password, address.ca)
        with self._lock:
            now = self._clock()
            self._close_idle(now)
            client = self._clients.get(access)
            if client is None:
                settings = RedisSettings(
                    url=address.url,
                    username=address.username,
                    password=address.password,
                    ca_file=self._authority(address.ca) if address.ca else None,
                    timeout_seconds=_ANSWER_SECONDS,
                    connect_timeout_seconds=_CONNECT_SECONDS,
                )
                client = self._clients[access] = _Client(settings.connect())
            client.used = now
        return client.redis

    def _close_idle(self, now: float) -> None:
        """Let go of connections with credentials that are in use no more."""
        for access, client in list(self._clients.items()):
            if now - client.used > _IDLE_SECONDS:
                del self._clients[access]
                client.redis.close()
                if access.ca and all(other.ca != access.ca for other in self._clients):
                    self._authority_file(access.ca).unlink(missing_ok=True)

    def _authority(self, pem: str) -> Path:
        file = self._authority_file(pem)
        file.write_text(pem)
        return file

    def _authority_file(self, pem: str) -> Path:
        return self._folder / f"{hashlib.sha256(pem.encode()).hexdigest()[:32]}.pem"


def _ping(client: redis.Redis) -> None:
    try:
        client.ping()
    except redis.AuthenticationError as error:
        raise _AnsweredError from error


class _AnsweredError(Exception):
    """The server lives; for redis-py, wrong credentials are a broken connection."""


@contextmanager
def _refused_credentials(where: str, address: QueueAddress) -> Iterator[None]:
    """Tell wrong credentials from a dead server: it lives, for others too."""
    try:
        yield
    except redis.AuthenticationError as error:
        raise QueueProblemError(
            Reason.QUEUE_REFUSED,
            f"Redis at {where} refuses {_what_was_shown(address)} ({error})",
        ) from error


def _what_was_shown(address: QueueAddress) -> str:
    """Return what Redis did not take, and what to do about it."""
    if address.password is None:
        return (
            "whoever shows no password: put it into a Secret under the key password and name that "
            "in spec.queue.redis.credentials"
        )
    ended = [
        name
        for name, text in (("user name", address.username), ("password", address.password))
        if text is not None and text != text.rstrip("\r\n")
    ]
    if ended:
        return (
            f"the credentials, and the {' and the '.join(ended)} in the Secret of "
            "spec.queue.redis.credentials ends with a line end, which counts: write the Secret "
            "without it, as with printf %s or --from-literal"
        )
    return (
        "the credentials: correct the keys username and password in the Secret of "
        "spec.queue.redis.credentials"
    )


def _create_groups(client: redis.Redis, streams: Sequence[str], group: str) -> None:
    for stream in streams:
        try:
            client.xgroup_create(stream, group, id="0", mkstream=True)
        except redis.ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise


def _sample(depth: QueueDepth, warnings: tuple[str, ...]) -> Sample:
    return Sample(
        lengths=tuple(stream.length for stream in depth.streams),
        queued=depth.waiting,
        running=depth.running,
        dead_letters=depth.dead_letters,
        oldest=depth.oldest,
        taken=datetime.now(UTC),
        warnings=warnings,
    )


def _unreachable(where: str, failure: redis.RedisError) -> QueueProblemError:
    return QueueProblemError(Reason.QUEUE_UNREACHABLE, f"Redis at {where} {explain(failure)}")
