"""What each error of Redis means, and what a person is told of it."""

import pytest
import redis
from redis.exceptions import (
    AskError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    TryAgainError,
)

from whisperfleet.queue.faults import Outlook, explain, is_answered, outlook, passes

WRONG, PASSES, REFUSED, ENDS = (
    Outlook.WRONG_SERVER,
    Outlook.PASSES,
    Outlook.REFUSED,
    Outlook.ENDS,
)

ERRORS = [
    (ReadOnlyError("You can't write against a read only replica."), WRONG, "cannot serve now"),
    (MasterDownError("Link with MASTER is down"), WRONG, "must lead to the primary"),
    (ClusterDownError("The cluster is down"), WRONG, "The cluster is down"),
    (MovedError("3300 127.0.0.1:7211"), WRONG, "127.0.0.1:7211"),
    (AskError("3300 127.0.0.1:7211"), WRONG, "cannot serve now"),
    (BusyLoadingError("Redis is loading the dataset in memory"), WRONG, "loading the dataset"),
    (redis.ResponseError("NOREPLICAS Not enough good replicas to write."), WRONG, "NOREPLICAS"),
    (redis.ResponseError("UNBLOCKED force unblock from blocking operation"), WRONG, "UNBLOCKED"),
    (TryAgainError("Multiple keys request during rehashing"), PASSES, "cannot write now"),
    (redis.ResponseError("MISCONF Errors writing to the AOF file"), PASSES, "its log says why"),
    (redis.ResponseError("BUSY Redis is busy running a script."), PASSES, "BUSY"),
    (redis.ConnectionError("Connection refused"), PASSES, "does not answer (Connection refused)"),
    (redis.TimeoutError("Timeout reading from socket"), PASSES, "check that it runs"),
    (redis.AuthenticationError("invalid username-password pair"), REFUSED, "password"),
    (NoPermissionError("this user has no permissions"), REFUSED, "rights"),
    (redis.ResponseError("Protocol error: unauthenticated bulk length"), REFUSED, "password"),
    (redis.ResponseError("Protocol error: unauthenticated multibulk length"), REFUSED, "rights"),
    (redis.ResponseError("The user executing it can't run this command"), REFUSED, "rights"),
    (redis.ResponseError("can't access at least one of the keys"), REFUSED, "rights"),
    (OutOfMemoryError("command not allowed when used memory > 'maxmemory'."), ENDS, "maxmemory"),
    (redis.ResponseError("WRONGTYPE Operation against a key"), ENDS, "refuses the command"),
    (redis.ResponseError("BUSYGROUP Consumer Group name already exists"), ENDS, "BUSYGROUP"),
    (redis.ConnectionError(""), PASSES, "ConnectionError"),
]


@pytest.mark.parametrize(("error", "expected", "told"), ERRORS, ids=lambda value: str(value)[:30])
def test_an_error_has_an_outlook_and_a_sentence(
    error: redis.RedisError, expected: Outlook, told: str
) -> None:
    assert outlook(error) is expected
    assert told in explain(error)
    assert "\n" not in explain(error)
    assert passes(error) == (expected in {WRONG, PASSES})


@pytest.mark.parametrize("error", [error for error, _, _ in ERRORS], ids=lambda e: str(e)[:30])
def test_what_the_server_refused_was_not_written(error: redis.RedisError) -> None:
    unanswered = (redis.ConnectionError, redis.TimeoutError)
    loading = isinstance(error, BusyLoadingError)
    assert is_answered(error) == (loading or not isinstance(error, unanswered))
