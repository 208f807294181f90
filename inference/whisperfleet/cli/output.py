"""The answer of a command, on standard output. `messages` has what is said beside it."""

import json
import sys
from typing import Any, TextIO

import typer

from whisperfleet.errors import OutputError
from whisperfleet.exit_codes import ExitCode

__all__ = [
    "print_json",
    "print_text",
    "write",
]


def print_json(document: Any) -> None:
    """Write one JSON document as one line."""
    line = json.dumps(document, ensure_ascii=False)
    # Only JSON's own escapes may stand in it.
    write((line if _fits(line) else json.dumps(document)) + "\n")


def print_text(text: str) -> None:
    """Write text as it is, with the line end that it may lack.

    What the terminal's or the pipe's encoding does not have is escaped: a word that shows badly is
    better than the words that would come after it.
    """
    write(text if text.endswith("\n") or not text else text + "\n")


def _fits(text: str) -> bool:
    try:
        text.encode(_encoding(sys.stdout))
    except UnicodeEncodeError:
        return False
    return True


def _encoding(stream: TextIO | None) -> str:
    return (stream.encoding if stream is not None else None) or "utf-8"


def write(text: str) -> None:
    """Write to standard output what is lines already; raises OutputError where it cannot."""
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
