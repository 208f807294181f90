"""`python -m whisperfleet_operator`: every setting as an option and as an environment variable."""

from typing import Annotated, Literal

import typer

from whisperfleet.errors import ConfigurationError
from whisperfleet.exit_codes import ExitCode
from whisperfleet_operator.process import run_operator
from whisperfleet_operator.settings import OperatorSettings

__all__ = ["main"]

_DEFAULTS = OperatorSettings()


def operator(
    namespaces: Annotated[
        str,
        typer.Option(
            envvar="WHISPERFLEET_OPERATOR_NAMESPACES",
            help="Namespaces to manage, separated by commas. Empty: all of them.",
        ),
    ] = "",
    cluster_id: Annotated[
        str,
        typer.Option(
            envvar="WHISPERFLEET_OPERATOR_CLUSTER_ID",
            help="The cluster's id among those on the same Redis. Empty: the uid of kube-system.",
        ),
    ] = "",
    release: Annotated[
        str,
        typer.Option(
            envvar="WHISPERFLEET_OPERATOR_RELEASE",
            help="This installation's name among others that may manage the same namespaces.",
        ),
    ] = _DEFAULTS.release,
    dns_ports: Annotated[
        str,
        typer.Option(
            envvar="WHISPERFLEET_OPERATOR_DNS_PORTS",
            help="Ports of the DNS pods, separated by commas, which every worker may reach.",
        ),
    ] = ",".join(map(str, _DEFAULTS.dns_ports)),
    worker_ports: Annotated[
        str,
        typer.Option(
            envvar="WHISPERFLEET_OPERATOR_WORKER_PORTS",
            help="More TCP ports that every worker may reach, by commas, such as a Redis pod's.",
        ),
    ] = "",
    workers: Annotated[
        int,
        typer.Option(
            envvar="WHISPERFLEET_OPERATOR_WORKERS", help="Services reconciled at once.", min=1
        ),
    ] = _DEFAULTS.workers,
    http_host: Annotated[
        str,
        typer.Option(
            envvar="WHISPERFLEET_OPERATOR_HTTP_HOST",
            help="Address on which health and metrics are served.",
        ),
    ] = _DEFAULTS.http_host,
    http_port: Annotated[
        int,
        typer.Option(
            envvar="WHISPERFLEET_OPERATOR_HTTP_PORT",
            help="Port of health and metrics. 0: any free port, which the log names.",
            min=0,
            max=65_535,
        ),
    ] = _DEFAULTS.http_port,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        typer.Option(
            envvar="WHISPERFLEET_OPERATOR_LOG_LEVEL",
            help="The least severe level that is logged, as JSON.",
        ),
    ] = "info",
) -> None:
    """Take care of the TranscriptionServices of a cluster."""
    settings = OperatorSettings(
        namespaces=_names(namespaces),
        cluster_id=cluster_id or None,
        release=release,
        dns_ports=_ports("--dns-ports", dns_ports),
        worker_ports=_ports("--worker-ports", worker_ports),
        workers=workers,
        http_host=http_host,
        http_port=http_port,
        log_level=log_level,
    )
    try:
        run_operator(settings)
    except ConfigurationError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(ExitCode.USAGE) from None


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.replace(" ", "").split(",") if name)


def _ports(option: str, text: str) -> tuple[int, ...]:
    names = _names(text)
    if wrong := [name for name in names if not name.isdigit() or not 0 < int(name) < 65536]:
        raise typer.BadParameter(
            f"{wrong[0]} is no port: write numbers of 1 to 65535", param_hint=option
        )
    return tuple(map(int, names))


def main() -> None:
    """Run the operator's command line."""
    typer.run(operator)


if __name__ == "__main__":
    main()
