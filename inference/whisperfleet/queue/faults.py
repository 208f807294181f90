"""What an error of Redis means for who asked: wait, connect anew, ask a person, or give up.

Everything that talks to Redis decides by this module alone, and tells people in its words.
"""

import re
from enum import StrEnum
from typing import Final

import redis
from redis.exceptions import (
    AskError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    TryAgainError,
)

__all__ = ["Outlook", "explain", "is_answered", "outlook", "passes"]


class Outlook(StrEnum):
    """What may become of the same request.

    PASSES: the server is away, busy or cannot write now. WRONG_SERVER: it answers and is not, or
    no longer, the one to ask, so every connection to it is given up; a new one follows the address.
    REFUSED: a person has to give back credentials or rights. ENDS: it would fail again.
    """

    PASSES = "passes"
    WRONG_SERVER = "wrong server"
    REFUSED = "refused"
    ENDS = "ends"


# A cluster that is down or being mended is MASTERDOWN's class too; ASK is MOVED's.
_WRONG_SERVER: Final = (ReadOnlyError, ClusterDownError, AskError, BusyLoadingError)
# Without a class of their own. A primary with too few replicas may have been cut off from the
# others, which have chosen another by now; UNBLOCKED ends a blocking read on one that was demoted.
_WRONG_SERVER_CODE: Final = re.compile(r"(NOREPLICAS|UNBLOCKED)\b")
_PASSING_CODE: Final = re.compile(r"(MISCONF|BUSY)\b")
# What Redis 7.0 and Valkey say of a command inside a script comes without the code NOPERM. To
# who has not logged in they say of a request with many or long arguments that its form is wrong.
_NO_PERMISSION: Final = re.compile(
    r"NOPERM\b|can't run this command|can't access at least one|no permissions to (run|access)"
    r"|unauthenticated (multi)?bulk length"
)

_SENTENCES: Final = {
    Outlook.PASSES: ("does not answer", "check that it runs, the address, the network and TLS"),
    Outlook.WRONG_SERVER: (
        "cannot serve now",
        "after a fail-over the address must lead to the primary",
    ),
    Outlook.REFUSED: (
        "refuses this account",
        "check user name and password, and give it the rights that docs/protocol.md has",
    ),
    Outlook.ENDS: ("refuses the command", ""),
}


def outlook(error: redis.RedisError) -> Outlook:
    """Return what may become of a request that ended with this error."""
    text = str(error)
    if isinstance(error, _WRONG_SERVER) or _WRONG_SERVER_CODE.match(text):
        return Outlook.WRONG_SERVER
    refused = (redis.AuthenticationError, AuthorizationError, NoPermissionError)
    if isinstance(error, refused) or _NO_PERMISSION.search(text):
        return Outlook.REFUSED
    unanswered = (redis.ConnectionError, redis.TimeoutError)
    if isinstance(error, (*unanswered, TryAgainError)) or _PASSING_CODE.match(text):
        return Outlook.PASSES
    return Outlook.ENDS


def passes(error: redis.RedisError) -> bool:
    """Return whether the same request may succeed a moment later, without a person."""
    return outlook(error) in {Outlook.PASSES, Outlook.WRONG_SERVER}


def is_answered(error: redis.RedisError) -> bool:
    """Return whether the server itself refused the request, so that nothing was written."""
    return isinstance(error, (redis.ResponseError, BusyLoadingError))


def explain(error: redis.RedisError) -> str:
    """Return what a server did and what to do about it, as what follows "Redis at <address>"."""
    said = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
    did, remedy = _sentence(error)
    return f"{did} ({said}); {remedy}" if remedy else f"{did} ({said})"


def _sentence(error: redis.RedisError) -> tuple[str, str]:
    """Return what the server did, and what a person can do: nothing where that is not known."""
    if isinstance(error, MovedError):
        host, port = error.node_addr
        return "is a cluster node without the queue's slot", f"that is on {host}:{port}"
    if isinstance(error, OutOfMemoryError):
        return "has no memory left", "raise maxmemory or delete old results"
    means = outlook(error)
    if means is Outlook.PASSES and is_answered(error):
        return "cannot write now", "its log says why"
    return _SENTENCES[means]
