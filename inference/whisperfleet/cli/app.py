"""The commands by name, and what an expected error looks like to the person who typed one."""

import sys
from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_group

from whisperfleet.cli.messages import print_error, print_note
from whisperfleet.cli.options import DEFAULT_QUEUE_ID, DEFAULT_REDIS_URL, QueueOption, RedisOption
from whisperfleet.cli.output import print_text
from whisperfleet.errors import (
    ConfigurationError,
    JobError,
    OutputError,
    StartupError,
    WhisperfleetError,
)
from whisperfleet.exit_codes import EPILOG, ExitCode

__all__ = ["app"]


# Where each command is, in the order of the help. Only the one that is run is loaded: what others
# need makes half of the start of any.
_COMMANDS: Final = {
    "submit": ("submit", "submit"),
    "result": ("results", "result"),
    "status": ("results", "status"),
    "cancel": ("operations", "cancel"),
    "worker": ("worker", "worker"),
    "demo": ("demo", "demo"),
    "version": ("version", "version"),
    "dlq": ("operations", "dead_letters"),
    "queue": ("operations", "queue_commands"),
}


class _Commands(TyperGroup):
    """Ends with a sentence and an exit code where a command raises one of the project's errors."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - as the library has it
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        # Whoever mistypes a name is shown what comes near among all of them.
        for name in (cmd_name,) if cmd_name in _COMMANDS else _COMMANDS:
            if name not in self.commands:
                self.commands[name] = _load(name)
        return self.commands.get(cmd_name)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except WhisperfleetError as error:
            print_error(error.message if isinstance(error, JobError) else str(error))
            raise typer.Exit(_exit_code(error)) from error
        except KeyboardInterrupt as error:
            print_note("interrupted")
            raise typer.Exit(ExitCode.INTERRUPTED) from error

    def main(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super().main(*arguments, **options)
        except OSError:
            # A command deals with its own. This is a help that could not be printed, or a mistake.
            try:
                print_text("")
            except OutputError as error:
                print_error(str(error))
                sys.exit(ExitCode.OUTPUT)
            raise


def _exit_code(error: WhisperfleetError) -> int:
    match error:
        case StartupError():
            return error.exit_code
        case ConfigurationError():
            return ExitCode.USAGE
        case OutputError():
            return ExitCode.OUTPUT
        case _:
            return ExitCode.NOT_DONE


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EPILOG,
)


@app.callback()
def whisperfleet(
    redis: RedisOption = DEFAULT_REDIS_URL,
    queue: QueueOption = DEFAULT_QUEUE_ID,
) -> None:
    """Speech to text by a fleet of workers behind a Redis stream.

    Secrets come from the environment alone: WHISPERFLEET_REDIS_USERNAME and
    WHISPERFLEET_REDIS_PASSWORD. WHISPERFLEET_REDIS_CA_FILE names a certificate authority for rediss://.
    """


def _load(name: str) -> Any:
    module, attribute = _COMMANDS[name]
    command = getattr(import_module(f"whisperfleet.cli.{module}"), attribute)
    alone = typer.Typer(rich_markup_mode="markdown")
    if isinstance(command, typer.Typer):
        alone.add_typer(command, name=name, no_args_is_help=True)
    else:
        alone.command(name, epilog=EPILOG)(command)
    return get_group(alone).commands[name]
