"""What people and scripts read: the answer on standard output, all else on standard error."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

__all__ = [
    "print_error",
    "print_json",
    "print_note",
    "print_records",
    "print_table",
    "print_text",
    "progress",
]

# A pipe has no width of its own, and a column must not be cut there.
_PIPE_WIDTH = 120
# Wider than any table: where a console has less room than a cell, it cuts it.
_MOST_COLUMNS = 10_000


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


def print_table(table: Table) -> None:
    """Write a table, as wide as the terminal where there is one."""
    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    Console(file=sys.stdout, width=width, highlight=False).print(table)


def print_records(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table whose cells are whole, however wide that is: people copy ids out of it."""
    table = Table(*columns)
    for row in rows:
        table.add_row(*map(Text, row))
    Console(file=sys.stdout, width=_MOST_COLUMNS, highlight=False).print(table)


def _fits(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _write(text: str) -> None:
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()


def print_error(sentence: str) -> None:
    """Write what went wrong, and what to do about it, to standard error."""
    _to_stderr(Text.assemble(("error: ", "bold red"), sentence))


def print_note(sentence: str) -> None:
    """Write what is good to know to standard error."""
    _to_stderr(Text(sentence))


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


def _to_stderr(text: Text) -> None:
    # A sentence stays one line in a log; a terminal wraps it by itself.
    Console(stderr=True).print(text, soft_wrap=True, highlight=False)
