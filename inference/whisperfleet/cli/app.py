"""The commands by name, and what an expected error looks like to the person who typed one."""

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from whisperfleet.cli.demo import demo
from whisperfleet.cli.operations import cancel, dead_letters, queue_commands
from whisperfleet.cli.options import DEFAULT_QUEUE_ID, DEFAULT_REDIS_URL, QueueOption, RedisOption
from whisperfleet.cli.output import print_error, print_note, print_text
from whisperfleet.cli.results import result, status
from whisperfleet.cli.submit import submit
from whisperfleet.cli.version import version
from whisperfleet.cli.worker import worker
from whisperfleet.errors import (
    ConfigurationError,
    JobError,
    OutputError,
    StartupError,
    WhisperfleetError,
)
from whisperfleet.exit_codes import EPILOG, ExitCode

__all__ = ["app"]


class _Commands(TyperGroup):
    """Ends with a sentence and an exit code where a command raises one of the project's errors."""

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


for _command in (submit, result, status, cancel, worker, demo, version):
    app.command(epilog=EPILOG)(_command)
app.add_typer(dead_letters, name="dlq", no_args_is_help=True)
app.add_typer(queue_commands, name="queue", no_args_is_help=True)
