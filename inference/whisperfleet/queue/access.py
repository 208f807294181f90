"""The least rights of each party, as rules for Redis's ``ACL SETUSER``.

An ACL cannot restrict arguments: whoever may XADD to a stream can also wipe it with ``MAXLEN 0``.
Give a producer that is not trusted a stream of its own.
"""

from whisperfleet.contract.keys import Keys

__all__ = ["WORKER_COMMANDS", "producer_rules", "scaler_rules", "service_rules", "worker_rules"]

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


def worker_rules(keys: Keys) -> list[str]:
    """Return the rules of a worker: all under the queue's prefix, by these commands alone."""
    return ["-@all", f"~{keys.prefix}*", *(f"+{command}" for command in WORKER_COMMANDS)]


def service_rules(keys: Keys) -> list[str]:
    """Return the rules of the one account of a TranscriptionService.

    Its workers use it, KEDA, and the operator, which needs nothing that those two do not.
    """
    return [*worker_rules(keys), "+xlen"]


def producer_rules(keys: Keys, priority: str, tenant: str | None = None) -> list[str]:
    """Return the rules of a producer that can do nothing but send to one stream."""
    return ["-@all", f"%W~{keys.stream(priority, tenant)}", "+xadd"]


def scaler_rules(keys: Keys) -> list[str]:
    """Return the rules of what scales the fleet: it reads the lengths of streams."""
    return ["-@all", f"%R~{keys.prefix}*", "+ping", "+xlen"]
