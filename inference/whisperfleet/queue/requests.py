"""What a conversation with Redis asks for: the same for every kind of client.

A conversation is a generator that yields requests and is sent their replies; the error of a request
is raised in it. It does no input or output, so a blocking client and one of asyncio carry out the
same one: `run` here, and `AsyncClient` itself.
"""

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import redis

__all__ = ["Argument", "Batch", "Command", "Conversation", "Pause", "Request", "ask", "run"]

Argument: TypeAlias = str | bytes | int | float
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Command:
    """One command, as words; the reply is what redis-py makes of it."""

    words: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """Commands in one round trip, not a transaction.

    The reply is a list with a reply for each, or the error that the server answered it with.
    """

    commands: tuple[Command, ...]


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing for so long; the reply is None."""

    seconds: float


Request: TypeAlias = Command | Batch | Pause
Conversation: TypeAlias = Generator[Request, Any, _T]


def ask(*words: Argument) -> Conversation[Any]:
    """Send one command and return its reply."""
    return (yield Command(words))


def run(
    client: redis.Redis,
    conversation: Conversation[_T],
    pause: Callable[[float], object] = time.sleep,
) -> _T:
    """Carry out a conversation on this thread and return what it came to.

    `pause` takes so many seconds, or less where there is nothing to pause for any more.
    """
    try:
        request = next(conversation)
        while True:
            try:
                reply = _perform(client, request, pause)
            except redis.RedisError as error:
                request = conversation.throw(error)
            else:
                request = conversation.send(reply)
    except StopIteration as end:
        result: _T = end.value
        return result
    finally:
        conversation.close()


def _perform(client: redis.Redis, request: Request, pause: Callable[[float], object]) -> Any:
    match request:
        case Command(words):
            return client.execute_command(*words)  # type: ignore[no-untyped-call]
        case Batch(commands):
            with client.pipeline(transaction=False) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command.words)  # type: ignore[no-untyped-call]
                return pipeline.execute(raise_on_error=False)
        case Pause(seconds):
            pause(seconds)
            return None
