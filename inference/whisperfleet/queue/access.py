"""The least rights of each party, as rules for Redis's ``ACL SETUSER``.

An ACL cannot restrict arguments: whoever may XADD to a stream can also wipe it with ``MAXLEN 0``.
Give a producer that is not trusted a stream of its own.

PING is there for all: many client libraries send it by themselves after a pause. What they send
when they connect is open to everybody (AUTH, HELLO), needs a right on another database than 0
(SELECT), or is a courtesy that they do without (CLIENT SETINFO).
"""

from collections.abc import Iterable

from whisperfleet.contract.keys import InputStream, Keys

__all__ = [
    "READER_COMMANDS",
    "WORKER_COMMANDS",
    "producer_rules",
    "reader_rules",
    "scaler_rules",
    "service_rules",
    "tenant_rules",
    "worker_rules",
]

# Scripts run with the rights of their caller, so this is every command in them and around them.
WORKER_COMMANDS = (
    "eval",
    "evalsha",
    "get",
    "hdel",
    "hget",
    "hincrby",
    "hmget",
    "hset",
    "info",
    "persist",
    "pexpire",
    "ping",
    "set",
    "time",
    "type",
    "xack",
    "xadd",
    "xclaim",
    "xdel",
    "xgroup|create",
    "xgroup|delconsumer",
    "xinfo|consumers",
    "xinfo|groups",
    "xpending",
    "xrange",
    "xread",
    "xreadgroup",
    "xtrim",
)

# To forget what somebody deleted by hand. Without it that stays, and all else is well.
_CARETAKER_COMMANDS = ("hscan",)

# `wait`, `result` and `status` for all jobs of the queue, and whether a worker ever came.
READER_COMMANDS = ("get", "hmget", "mget", "ping", "xinfo|groups", "xrange", "xread", "xrevrange")


def worker_rules(keys: Keys, database: int = 0) -> list[str]:
    """Return the rules of a worker: all under the queue's prefix, by these commands alone."""
    commands = (*WORKER_COMMANDS, *_CARETAKER_COMMANDS)
    return ["-@all", f"~{keys.prefix}*", *_allowed(commands, database)]


def service_rules(keys: Keys, database: int = 0) -> list[str]:
    """Return the rules of the one account of a TranscriptionService.

    Its workers use it, KEDA, and the operator, which needs nothing that those two do not.
    """
    return [*worker_rules(keys, database), "+xlen"]


def producer_rules(
    keys: Keys, priority: str, tenant: str | None = None, database: int = 0
) -> list[str]:
    """Return the rules of a producer that can do nothing but send to one stream."""
    return ["-@all", f"%W~{keys.stream(priority, tenant)}", *_allowed(["ping", "xadd"], database)]


def tenant_rules(streams: Iterable[InputStream], tenant: str, database: int = 0) -> list[str]:
    """Return the rules of a producer that can do nothing but send to a tenant's own streams.

    `streams` is the queue's whole list. Raises ValueError where the tenant has no stream in it.
    """
    own = [f"%W~{stream.key}" for stream in streams if stream.tenant == tenant]
    if not own:
        raise ValueError(
            f"{tenant!r} has no stream of its own in the list; name it among the list's tenants"
        )
    return ["-@all", *own, *_allowed(["ping", "xadd"], database)]


def reader_rules(keys: Keys, database: int = 0) -> list[str]:
    """Return the rules of who reads results; beside a producer's they are those of ``--wait``."""
    return ["-@all", f"%R~{keys.prefix}*", *_allowed(READER_COMMANDS, database)]


def scaler_rules(keys: Keys, database: int = 0) -> list[str]:
    """Return the rules of what scales the fleet: it reads the lengths of streams."""
    return ["-@all", f"%R~{keys.prefix}*", *_allowed(["ping", "xlen"], database)]


def _allowed(commands: Iterable[str], database: int) -> list[str]:
    """Return the rules for these commands and what leads to the database."""
    # Whoever connects to another one than 0 selects it. AUTH and HELLO are open to all.
    return [f"+{command}" for command in (*commands, *(["select"] if database else []))]
