"""What a person is told or asked beside the answer, on standard error."""

import sys
from contextlib import suppress
from typing import TextIO

import typer

from whisperfleet.errors import ConfigurationError

__all__ = ["confirm", "print_error", "print_note"]


def print_error(sentence: str) -> None:
    """Write what went wrong, and what to do about it, to standard error."""
    _to_stderr(sentence, heading="error: ")


def print_note(sentence: str) -> None:
    """Write what is good to know to standard error."""
    _to_stderr(sentence)


def confirm(question: str) -> None:
    """Ask a question on standard error; raise typer.Abort unless standard input answers yes."""
    if sys.stdin is None:
        raise ConfigurationError("standard input is closed, so nobody can be asked; add --yes")
    _to_stderr(f"{question} [y/N]: ", end="")
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        print_note("")
    if answer.strip().lower() not in {"y", "yes"}:
        raise typer.Abort


def _to_stderr(sentence: str, heading: str = "", end: str = "\n") -> None:
    stream: TextIO | None = sys.stderr
    if stream is None:
        return
    # A third of the start of a command, and most have nothing to say.
    from whisperfleet.cli.rendering import rendered, text_of  # noqa: PLC0415

    # A sentence stays one line in a log; a terminal wraps it by itself.
    line = rendered(text_of(sentence, heading), stream, soft_wrap=True, end=end)
    # Where it is full there is nowhere left to complain to; the exit code tells.
    with suppress(OSError):
        stream.write(line)
        stream.flush()
