"""What people and scripts read: the answer on standard output, all else on standard error."""

import io
import json
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, TextIO

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from whisperfleet.errors import ConfigurationError, OutputError
from whisperfleet.exit_codes import ExitCode

__all__ = [
    "confirm",
    "print_error",
    "print_json",
    "print_note",
    "print_records",
    "print_table",
    "print_text",
    "progress",
]

_GAP = "  "


def print_json(document: Any) -> None:
    """Write one JSON document as one line."""
    line = json.dumps(document, ensure_ascii=False)
    # Only JSON's own escapes may stand in it.
    _write((line if _fits(line) else json.dumps(document)) + "\n")


def print_text(text: str) -> None:
    """Write text as it is, with the line end that it may lack.

    What the terminal's or the pipe's encoding does not have is escaped: a word that shows badly is
    better than the words that would come after it.
    """
    _write(text if text.endswith("\n") or not text else text + "\n")


def print_records(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write plain columns whose cells are whole, however wide that is: people copy ids out of it.

    A cell that is empty is a dash, so that the columns can be counted.
    """
    lines = [tuple(columns), *(tuple(cell or "-" for cell in row) for row in rows)]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (
            cell + " " * (width - cell_len(cell)) for cell, width in zip(line, widths, strict=True)
        )
        print_text(_GAP.join(cells).rstrip())


def print_table(table: Table) -> None:
    """Write a table, on a terminal as wide as that is; elsewhere plain columns."""
    if sys.stdout is not None and sys.stdout.isatty():
        _write(_rendered(table, sys.stdout))
        return
    cells = [[str(cell) for cell in column.cells] for column in table.columns]
    print_records([str(column.header) for column in table.columns], zip(*cells, strict=True))


def _fits(text: str) -> bool:
    try:
        text.encode(_encoding(sys.stdout))
    except UnicodeEncodeError:
        return False
    return True


def _encoding(stream: TextIO | None) -> str:
    return (stream.encoding if stream is not None else None) or "utf-8"


def _write(text: str) -> None:
    # None where it was closed before the program began.
    stream: TextIO | None = sys.stdout
    if stream is None:
        raise OutputError("standard output is closed, so the answer is lost; send it somewhere")
    encoding = _encoding(stream)
    try:
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except BrokenPipeError as error:
        # Who has read enough, such as `head`, needs no explanation.
        raise typer.Exit(ExitCode.OUTPUT) from error
    except OSError as error:
        raise OutputError(
            f"standard output cannot be written ({error.strerror}), so the rest of the answer is "
            "lost; make room, or send it elsewhere"
        ) from error


def print_error(sentence: str) -> None:
    """Write what went wrong, and what to do about it, to standard error."""
    _to_stderr(Text.assemble(("error: ", "bold red"), sentence))


def print_note(sentence: str) -> None:
    """Write what is good to know to standard error."""
    _to_stderr(Text(sentence))


def confirm(question: str) -> None:
    """Ask a question on standard error; raise typer.Abort unless standard input answers yes."""
    if sys.stdin is None:
        raise ConfigurationError("standard input is closed, so nobody can be asked; add --yes")
    _to_stderr(Text(f"{question} [y/N]: "), end="")
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        print_note("")
    if answer.strip().lower() not in {"y", "yes"}:
        raise typer.Abort


def progress() -> Progress:
    """Return progress bars on standard error; silent where that is no terminal."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
        # Standard output belongs to the answer, which may go into a pipe.
        redirect_stdout=False,
        redirect_stderr=False,
    )


def _to_stderr(text: Text, end: str = "\n") -> None:
    stream: TextIO | None = sys.stderr
    if stream is None:
        return
    # A sentence stays one line in a log; a terminal wraps it by itself.
    rendered = _rendered(text, stream, soft_wrap=True, end=end)
    # Where it is full there is nowhere left to complain to; the exit code tells.
    with suppress(OSError):
        stream.write(rendered)
        stream.flush()


def _rendered(what: Table | Text, stream: TextIO, **options: Any) -> str:
    """Return what the console library would write to a stream; it has no answer to a full one."""
    is_terminal = stream.isatty()
    width = Console(file=stream).width if is_terminal else None
    written = io.StringIO()
    console = Console(file=written, force_terminal=is_terminal, width=width, highlight=False)
    console.print(what, **options)
    return written.getvalue()
