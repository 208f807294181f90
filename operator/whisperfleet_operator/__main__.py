"""`python -m whisperfleet_operator`: every setting as an option and as an environment variable."""

from typing import Annotated, Literal

import typer

from whisperfleet.errors import ConfigurationError
from whisperfleet_operator.process import run_operator
from whisperfleet_operator.settings import OperatorSettings

__all__ = ["main"]

_DEFAULTS = OperatorSettings()
_CONFIGURATION_EXIT_CODE = 2


def operator(
    namespaces: Annotated[
        str,
        typer.Option(
            envvar="WHISPERFLEET_OPERATOR_NAMESPACES",
            help="Namespaces to take care of, by commas. Empty: all of them.",
        ),
    ] = "",
    cluster_id: Annotated[
        str,
        typer.Option(
            envvar="WHISPERFLEET_OPERATOR_CLUSTER_ID",
            help="Tells this cluster from others on one Redis. Empty: the uid of kube-system.",
        ),
    ] = "",
    workers: Annotated[
        int,
        typer.Option(
            envvar="WHISPERFLEET_OPERATOR_WORKERS", help="Services looked at at once.", min=1
        ),
    ] = _DEFAULTS.workers,
    http_host: Annotated[
        str,
        typer.Option(
            envvar="WHISPERFLEET_OPERATOR_HTTP_HOST", help="Where health and metrics are served."
        ),
    ] = _DEFAULTS.http_host,
    http_port: Annotated[
        int,
        typer.Option(
            envvar="WHISPERFLEET_OPERATOR_HTTP_PORT",
            help="0: any free port; the log tells.",
            min=0,
            max=65_535,
        ),
    ] = _DEFAULTS.http_port,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        typer.Option(envvar="WHISPERFLEET_OPERATOR_LOG_LEVEL", help="What is logged, as JSON."),
    ] = "info",
) -> None:
    """Take care of the TranscriptionServices of a cluster."""
    settings = OperatorSettings(
        namespaces=tuple(name for name in namespaces.replace(" ", "").split(",") if name),
        cluster_id=cluster_id or None,
        workers=workers,
        http_host=http_host,
        http_port=http_port,
        log_level=log_level,
    )
    try:
        run_operator(settings)
    except ConfigurationError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(_CONFIGURATION_EXIT_CODE) from None


def main() -> None:
    """Run the operator's command line."""
    typer.run(operator)


if __name__ == "__main__":
    main()
