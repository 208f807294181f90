"""`whisperfleet worker`: every setting as an option and as an environment variable."""

import os
from inspect import Parameter, Signature
from typing import Annotated, Any, Final

import typer

from whisperfleet.cli.extras import require_extra
from whisperfleet.cli.options import DEFAULT_QUEUE_ID, DEFAULT_REDIS_URL, QueueOption, RedisOption
from whisperfleet.settings import REQUIRED, SETTINGS, Setting

__all__ = ["worker"]


def worker(context: typer.Context, **given: Any) -> None:
    """Work on the jobs of a queue until SIGTERM, then finish or hand back what is in flight.

    Health is at /livez and /readyz, metrics for Prometheus are at /metrics.
    """
    require_extra("worker")
    # Read when numpy is loaded. Each job has a thread of its own: more within its small products
    # only wait for one another, at three times the processor time (ADR 6).
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from whisperfleet.cli import worker_settings  # noqa: PLC0415 - needs the extra

    raise typer.Exit(worker_settings.run(given, context.obj))


def _option(setting: Setting) -> Any:
    least = None
    if setting.kind is int:
        least = 0 if setting.zero else setting.least or 1
    return typer.Option(
        setting.option,
        envvar=setting.variable,
        help=setting.help,
        rich_help_panel=setting.title,
        min=least,
    )


def _parameter(setting: Setting) -> Parameter:
    kind = setting.kind if setting.form is None else str
    default = setting.default
    if default is REQUIRED:
        default = Parameter.empty
    elif setting.form is not None:
        default = setting.form.write(default)
    return Parameter(
        setting.name,
        Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[kind, _option(setting)],
    )


def _keyword(name: str, annotation: Any, default: str) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


_PARAMETERS: Final = (
    Parameter("context", Parameter.KEYWORD_ONLY, annotation=typer.Context),
    *map(_parameter, SETTINGS),
    _keyword("redis", RedisOption, DEFAULT_REDIS_URL),
    _keyword("queue", QueueOption, DEFAULT_QUEUE_ID),
)
# What typer makes the command's options from.
worker.__signature__ = Signature(_PARAMETERS)  # type: ignore[attr-defined]
worker.__annotations__ = {each.name: each.annotation for each in _PARAMETERS}
