"""What a worker asks of the server before it takes work: reachable, new enough, set up safely."""

from typing import Any

import redis

from whisperfleet.contract.job import PROTOCOL_MAJOR, PROTOCOL_VERSION
from whisperfleet.contract.keys import Keys
from whisperfleet.errors import QueueUnavailableError
from whisperfleet.queue.faults import explain
from whisperfleet.queue.scripts import Script

__all__ = ["QueueOwnedByAnotherError", "inspect_server", "register"]

_REGISTER = Script("register")
# The first with `#!lua flags=allow-oom`; Valkey names a compatible version here.
_OLDEST_SERVER = (7, 0)


class QueueOwnedByAnotherError(QueueUnavailableError):
    """The queue belongs to another owner; the message says how to take it over."""


def register(client: redis.Redis, keys: Keys, owner: str | None) -> None:
    """Agree on the queue's protocol and owner; the first to come sets both.

    `owner` None claims nothing. Raises QueueUnavailableError with what to do about it, of which
    QueueOwnedByAnotherError is one.
    """
    _check_server(client)
    try:
        version, known_owner = _REGISTER.run(client, [keys.meta], [PROTOCOL_VERSION, owner or ""])
    except redis.RedisError as error:
        raise QueueUnavailableError(
            f"the queue {keys.queue_id} cannot be used: Redis {explain(error)}"
        ) from error
    major = version.decode("utf-8", "replace").partition(".")[0]
    if major != str(PROTOCOL_MAJOR):
        raise QueueUnavailableError(
            f"the queue {keys.queue_id} speaks protocol {major}.x and this worker "
            f"{PROTOCOL_VERSION}; run workers of the same major version"
        )
    if owner and known_owner != owner.encode():
        raise QueueOwnedByAnotherError(
            f"the queue {keys.queue_id} belongs to {known_owner.decode('utf-8', 'replace')} and "
            f"not to {owner}: choose another queue id, or, if that owner is gone for good, give "
            f"the queue to this one: redis-cli HDEL '{keys.meta}' owner"
        )


def inspect_server(client: redis.Redis) -> list[str]:
    """Return a sentence for each setting of the server that can lose jobs."""
    try:
        info: dict[str, Any] = client.info()
    except redis.ResponseError:
        return ["INFO is refused, so the server's settings cannot be checked; grant +info"]
    warnings = []
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        warnings.append(
            f"maxmemory-policy is {policy}: Redis may evict jobs and results; set it to noeviction"
        )
    if not info.get("aof_enabled"):
        warnings.append(
            "appendonly is off: a restart of Redis loses jobs; set it to yes, and appendfsync to "
            "always where not even the last two seconds may be lost"
        )
    return warnings


def _check_server(client: redis.Redis) -> None:
    try:
        info: dict[str, Any] = client.info("server")
    except redis.ResponseError:
        return
    except redis.RedisError as error:
        raise QueueUnavailableError(f"Redis {explain(error)}") from error
    version = str(info.get("redis_version", ""))
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if numbers and numbers < _OLDEST_SERVER:
        raise QueueUnavailableError(
            f"the server is Redis {version}; scripts need Redis 7.0 or Valkey, or later"
        )
