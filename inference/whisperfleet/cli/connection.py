"""From the options of a command to a queue that answers, or to a sentence that says why not."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from whisperfleet.contract.keys import DEFAULT_PRIORITIES, Priority
from whisperfleet.errors import ConfigurationError, QueueUnavailableError

if TYPE_CHECKING:
    from whisperfleet.client import Admin, Client
    from whisperfleet.queue.connection import RedisSettings

__all__ = ["open_admin", "open_client", "redis_settings"]

_ENVIRONMENT = "WHISPERFLEET_REDIS"
_Opened = TypeVar("_Opened")


def redis_settings(url: str) -> "RedisSettings":
    """Return how to reach Redis: the address as given, the secrets from the environment.

    A secret on a command line is in the list of processes and in the shell's history. Raises
    ConfigurationError where the address cannot be used.
    """
    from whisperfleet.queue.connection import RedisSettings  # noqa: PLC0415 - redis-py takes a while

    ca_file = os.environ.get(f"{_ENVIRONMENT}_CA_FILE")
    return RedisSettings(
        url,
        username=os.environ.get(f"{_ENVIRONMENT}_USERNAME") or None,
        password=os.environ.get(f"{_ENVIRONMENT}_PASSWORD") or None,
        ca_file=Path(ca_file) if ca_file else None,
    )


@contextmanager
def open_client(
    url: str, queue_id: str, priorities: Sequence[Priority] = DEFAULT_PRIORITIES
) -> Iterator["Client"]:
    """Yield a producer of the queue; raises what `_opened` does."""
    from whisperfleet.client import Client  # noqa: PLC0415 - as above

    with _opened(url, lambda settings: Client(settings, queue_id, priorities=priorities)) as client:
        yield client


@contextmanager
def open_admin(url: str, queue_id: str) -> Iterator["Admin"]:
    """Yield an administrator of the queue; raises what `_opened` does."""
    from whisperfleet.client import Admin  # noqa: PLC0415 - as above

    with _opened(url, lambda settings: Admin(settings, queue_id)) as admin:
        yield admin


@contextmanager
def _opened(url: str, make: "Callable[[RedisSettings], _Opened]") -> "Iterator[_Opened]":
    """Yield what `make` makes.

    Raises ConfigurationError for an address or id that cannot be used, QueueUnavailableError where
    Redis does not answer or refuses.
    """
    import redis  # noqa: PLC0415 - as above

    from whisperfleet.queue.faults import explain  # noqa: PLC0415

    settings = redis_settings(url)
    try:
        made = make(settings)
    except ValueError as error:
        raise ConfigurationError(f"{error}; set it with --queue or WHISPERFLEET_QUEUE") from error
    try:
        yield made
    except UnicodeEncodeError:
        # Without the text, which may be a password.
        raise ConfigurationError(
            "an id or a name holds bytes that are not UTF-8; type it anew, or set LC_ALL to the "
            "encoding that it is in"
        ) from None
    except redis.RedisError as error:
        raise QueueUnavailableError(
            f"Redis at {settings.describe()} {explain(error)}. The address is --redis or "
            f"{_ENVIRONMENT}, the account {_ENVIRONMENT}_USERNAME and {_ENVIRONMENT}_PASSWORD"
        ) from error
