"""The board as a table and as a picture."""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final
from xml.sax.saxutils import escape

from rich.table import Table as RichTable

from hack.real.board import WHOLE, Board, Breach
from hack.real.contenders import (
    BATCHED,
    LIBRARY,
    LIBRARY_ALL,
    LIBRARY_TIMED,
    PARALLEL,
    PARALLEL_ALL,
    PARALLEL_TIMED,
    SEQUENTIAL,
    SEQUENTIAL_ALL,
    SEQUENTIAL_TIMED,
)
from hack.real.score import Score
from hack.table import Table

__all__ = ["board_tables", "breach_table", "picture"]

_PLAIN: Final = (LIBRARY, BATCHED, PARALLEL, SEQUENTIAL)
_UNTIMED: Final = (LIBRARY, PARALLEL, SEQUENTIAL)
_TIMED: Final = (LIBRARY_TIMED, PARALLEL_TIMED, SEQUENTIAL_TIMED)
_ALL: Final = (LIBRARY_ALL, PARALLEL_ALL, SEQUENTIAL_ALL)
_SHARES: Final = (0.5, 0.95)
_WORD_COUNTS: Final[dict[str, Callable[[Score], str]]] = {
    "runs lost": lambda score: f"{score.lost}",
    "invented": lambda score: f"{score.invented}",
    "language wrong": lambda score: f"{score.languages_wrong}",
}
_COLOURS: Final = {
    LIBRARY: "#adb5bd",
    BATCHED: "#ced4da",
    PARALLEL: "#0b7285",
    SEQUENTIAL: "#3bc9db",
}


def board_tables(board: Board) -> list[Table]:
    """Return what became of the words of each part and of the whole, and of the times.

    And what becomes of the words where no detector leaves anything out, if anybody did so.
    """
    tables = [_words(board), _times(board)]
    return [*tables, _everything(board)] if PARALLEL_ALL in board.ours else tables


def _words(board: Board) -> Table:
    headings = ("part", "files", "minutes", "words", *_PLAIN, *_WORD_COUNTS, "from the cache")
    rows = []
    for part, scores in _rows(board):
        minutes = board.audio_seconds.get(part, board.whole_seconds) / 60
        first = next(iter(scores.values()))
        row = (
            part,
            *(f"{len(first.files)}", f"{minutes:.1f}", f"{first.words}"),
            *(_rate(scores.get(name)) for name in _PLAIN),
            *(_three(scores, _UNTIMED, count) for count in _WORD_COUNTS.values()),
            _cached(board, part),
        )
        rows.append(row)
    return Table(_title(f"{board.model}: wrong words in a hundred"), headings, tuple(rows))


def _times(board: Board) -> Table:
    headings = (
        *("part", "cue faults", "with word times"),
        *("cues p50", "cues p95", "words p50", "words p95"),
    )
    rows = tuple(
        (
            part,
            _three(scores, _UNTIMED, lambda score: f"{score.faults}"),
            _three(scores, _TIMED, lambda score: f"{score.faults}"),
            *(_three(scores, _UNTIMED, partial(_cue_error, share)) for share in _SHARES),
            *(_three(scores, _TIMED, partial(_word_error, share)) for share in _SHARES),
        )
        for part, scores in _rows(board)
    )
    title = _title(f"{board.model}: rules for cues broken, and errors of times in s")
    return Table(title, headings, rows)


def _everything(board: Board) -> Table:
    headings = ("part", "words wrong", *_WORD_COUNTS, "cue faults")
    rows = tuple(
        (
            part,
            _three(scores, _ALL, _rate),
            *(_three(scores, _ALL, count) for count in _WORD_COUNTS.values()),
            _three(scores, _ALL, lambda score: f"{score.faults}"),
        )
        for part, scores in _rows(board)
    )
    return Table(_title(f"{board.model} with `vad: false`"), headings, rows)


def breach_table(found: Sequence[Breach]) -> RichTable:
    """Return a row for each bound that was not kept."""
    table = RichTable(title="Bounds that are not kept", title_justify="left")
    for heading in ("bound", "model", "part", "by", "what"):
        table.add_column(heading, overflow="fold")
    for one in found:
        table.add_row(one.bound, one.model, one.part, one.contender, one.says)
    return table


def picture(boards: Sequence[Board]) -> str:
    """Return bars of the wrong words of every contender on every part, as SVG."""
    rows = [
        (f"{board.model}, {part}", scores[name].error_rate, name)
        for board in boards
        for part, scores in board.scores.items()
        for name in _PLAIN
        if name in scores and scores[name].words
    ]
    most = max((rate for _, rate, _ in rows), default=0.0) or 1.0
    lines, top, before = [], 12, ""
    for title, rate, name in rows:
        if title != before:
            top += 22
            lines.append(f'<text x="8" y="{top}" font-weight="bold">{escape(title)}</text>')
            before = title
        width = 380 * rate / most
        lines.append(
            f'<text x="120" y="{top + 17}" text-anchor="end">{escape(name)}</text>'
            f'<rect x="128" y="{top + 6}" width="{width:.0f}" height="14" '
            f'fill="{_COLOURS[name]}"/>'
            f'<text x="{134 + width:.0f}" y="{top + 17}">{rate:.2f} %</text>'
        )
        top += 18
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="600" height="{top + 16}" '
        'font-family="sans-serif" font-size="12">\n'
        "<title>Wrong words in a hundred</title>\n"
        '<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(lines) + "\n</svg>\n"
    )


def _title(about: str) -> str:
    return f"{about}; a / b / c: library / parallel / sequential"


def _rows(board: Board) -> Iterator[tuple[str, dict[str, Score]]]:
    yield from board.scores.items()
    ran = next(iter(board.scores.values()))
    yield WHOLE, {name: board.whole(name) for name in ran}


def _three(scores: dict[str, Score], names: Sequence[str], show: Callable[[Score], str]) -> str:
    return " / ".join(show(scores[name]) if name in scores else "-" for name in names)


def _rate(score: Score | None) -> str:
    return f"{score.error_rate:.2f}" if score and score.words else ""


def _cue_error(share: float, score: Score) -> str:
    return _seconds(score.cue_error(share))


def _word_error(share: float, score: Score) -> str:
    return _seconds(score.word_error(share))


def _seconds(seconds: float) -> str:
    return "-" if math.isnan(seconds) else f"{seconds:.2f}"


def _cached(board: Board, part: str) -> str:
    return ", ".join(name for name, count in board.cached.get(part, {}).items() if count)
