"""Tables, columns, bars and colours, by the console library."""

import io
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from whisperfleet.cli.output import print_text, write

__all__ = ["print_records", "print_table", "progress", "rendered", "text_of"]

_GAP = "  "


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
        write(rendered(table, sys.stdout))
        return
    cells = [[str(cell) for cell in column.cells] for column in table.columns]
    print_records([str(column.header) for column in table.columns], zip(*cells, strict=True))


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


def text_of(sentence: str, heading: str = "") -> Text:
    """Return a sentence behind what a person shall see first."""
    return Text.assemble((heading, "bold red"), sentence)


def rendered(what: Table | Text, stream: TextIO, **options: Any) -> str:
    """Return what the console library would write to a stream; it has no answer to a full one."""
    is_terminal = stream.isatty()
    width = Console(file=stream).width if is_terminal else None
    written = io.StringIO()
    console = Console(file=written, force_terminal=is_terminal, width=width, highlight=False)
    console.print(what, **options)
    return written.getvalue()
