"""The options that several commands share."""

from typing import Annotated, Any

import typer

__all__ = ["DEFAULT_QUEUE_ID", "DEFAULT_REDIS_URL", "JsonOption", "QueueOption", "RedisOption"]

DEFAULT_REDIS_URL = "redis://127.0.0.1:6379/0"
DEFAULT_QUEUE_ID = "default.whisperfleet"

_TYPED = "COMMANDLINE"


def _or_before_the_command(ctx: typer.Context, param: typer.CallbackParam, value: str) -> str:
    """Let ``whisperfleet --redis URL submit`` mean ``whisperfleet submit --redis URL``."""
    name = str(param.name)
    here: Any = ctx
    while here is not None:
        source = here.get_parameter_source(name)
        if source is not None and source.name == _TYPED:
            return value if here is ctx else str(here.params[name])
        here = here.parent
    return value


RedisOption = Annotated[
    str,
    typer.Option(
        "--redis",
        metavar="URL",
        envvar="WHISPERFLEET_REDIS",
        callback=_or_before_the_command,
        help="Redis or Valkey: redis://HOST:PORT/DB, rediss:// for TLS, unix://PATH.",
    ),
]

QueueOption = Annotated[
    str,
    typer.Option(
        "--queue",
        metavar="ID",
        envvar="WHISPERFLEET_QUEUE",
        callback=_or_before_the_command,
        help="The queue's id: the namespace and name of its service, joined by a dot.",
    ),
]

JsonOption = Annotated[
    bool, typer.Option("--json", help="Write JSON to standard output, and nothing else.")
]
