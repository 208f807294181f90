"""``python -m hack.real``: recognition of real speech with real weights, beside the library.

Every part of the corpus goes through the library one file after the other, through its batched
pipeline, and through the workers' own steps with either segmenter. It ends with exit code 1 where a
bound is not kept, and names it.
"""

import argparse
import json
import logging
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Final

import ctranslate2
from rich.console import Console

from hack.real.board import Board, Breach, breaches
from hack.real.contenders import (
    CONTENDERS,
    LIBRARY,
    PARALLEL,
    PARALLEL_TIMED,
    SEQUENTIAL,
    Contender,
    by_source,
    measured_by,
)
from hack.real.corpus.build import LANGUAGES, PARTS, Extent, build_part
from hack.real.corpus.manifest import Recording
from hack.real.errors import GroundError
from hack.real.listening import Hearing, listen
from hack.real.models import MODELS, TINY, model_folder
from hack.real.report import board_tables, breach_table, picture
from hack.real.score import Score, Truth, score_file
from hack.table import filled
from whisperfleet.engine.ctranslate2.models import ResolvedModel, resolve_model

__all__ = ["compare", "main"]

PAGE_BEGIN: Final = "<!-- tables: python -m hack.real --page -->"
PAGE_END: Final = "<!-- end of tables -->"

# What fits four minutes of two slow cores.
_QUICK_CONTENDERS: Final = (LIBRARY, PARALLEL, SEQUENTIAL, PARALLEL_TIMED)
_FILE_WIDTH: Final = 160
_SEED: Final = 20
_SAY_SECONDS: Final = 60.0

Say = Callable[[str], None]
Parts = dict[str, list[Recording]]


def main() -> None:
    """Measure, print, and write the scores down where they are asked for."""
    arguments = _parse()
    # As the worker does it, and as it is fair to the library.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    ctranslate2.set_log_level(logging.ERROR)
    ctranslate2.set_random_seed(_SEED)
    console = Console()
    if not console.is_terminal:
        console.width = _FILE_WIDTH
    say = partial(console.print, style="dim", highlight=False, markup=False)
    try:
        boards = [_measure(name, arguments, say) for name in arguments.models]
    except GroundError as error:
        sys.exit(f"error: {error}")
    found = [breach for board in boards for breach in breaches(board)]
    for board in boards:
        for table in board_tables(board):
            console.print(table.to_terminal())
    if arguments.json:
        arguments.json.write_text(_document(boards, found), "utf-8")
    if arguments.page:
        parts = [table.to_markdown() for board in boards for table in board_tables(board)]
        page = arguments.page.read_text("utf-8")
        arguments.page.write_text(filled(page, PAGE_BEGIN, PAGE_END, parts), "utf-8")
    if arguments.picture:
        arguments.picture.write_text(picture(boards), "utf-8")
    if found:
        console.print(breach_table(found))
        sys.exit(f"{len(found)} times a bound is not kept; see the table above")
    say("every bound is kept")


def compare(
    model: ResolvedModel, parts: Parts, contenders: Sequence[Contender], say: Say = lambda _: None
) -> Board:
    """Return the scores of the contenders, of whom the library must be one, on all parts."""
    recordings = [one for own in parts.values() for one in own]
    hearings: dict[str, Hearing] = {}
    for one in contenders:
        began = time.monotonic()
        progress = _Progress(one.name, len(recordings), say)
        hearings[one.name] = listen(one, model, recordings, progress.step)
        seconds = time.monotonic() - began
        kept = hearings[one.name].cached
        say(f"{one.name}: {len(kept)} files in {seconds:.0f} s, {sum(kept)} of them from the cache")
    return _board(model, parts, hearings)


class _Progress:
    """Says now and then how far somebody is."""

    def __init__(self, name: str, files: int, say: Say) -> None:
        self._name = name
        self._files = files
        self._say = say
        self._heard = 0
        self._said = time.monotonic()

    def step(self) -> None:
        """Count a file."""
        self._heard += 1
        if time.monotonic() - self._said > _SAY_SECONDS:
            self._said = time.monotonic()
            self._say(f"{self._name}: {self._heard} of at most {self._files} files")


def _measure(name: str, arguments: argparse.Namespace, say: Say) -> Board:
    parts: Parts = {}
    for part in arguments.parts:
        # A model for English alone has nothing to say of other languages.
        if part == LANGUAGES and name == TINY:
            continue
        built = build_part(part, arguments.extent)
        short = [one for one in built if one.seconds <= arguments.longest * 60]
        if recordings := short[:: arguments.every]:
            parts[part] = recordings
    if not parts:
        raise GroundError(
            f"there is nothing to measure {name} with in {', '.join(arguments.parts)}; choose "
            "other parts, or leave --quick out"
        )
    files = sum(map(len, parts.values()))
    minutes = sum(one.seconds for own in parts.values() for one in own) / 60
    say(f"{name}: {files} files, {minutes:.1f} minutes")
    model = replace(resolve_model(str(model_folder(name))), name=name)
    contenders = [CONTENDERS[one] for one in arguments.by]
    if arguments.resume:
        contenders = list(map(by_source, contenders))
    return compare(model, parts, contenders, say)


def _board(model: ResolvedModel, parts: Parts, hearings: dict[str, Hearing]) -> Board:
    scores: dict[str, dict[str, Score]] = {}
    cached: dict[str, dict[str, int]] = {}
    at = 0
    for part, recordings in parts.items():
        own = slice(at, at + len(recordings))
        at += len(recordings)
        scores[part] = {
            name: Score(
                tuple(
                    score_file(Truth(one.phrases, one.seconds, one.language), heard, other)
                    for one, heard, other in zip(
                        recordings,
                        hearing.heard[own],
                        hearings[measured_by(name)].heard[own],
                        strict=True,
                    )
                )
            )
            for name, hearing in hearings.items()
        }
        cached[part] = {name: sum(hearing.cached[own]) for name, hearing in hearings.items()}
    return Board(
        model=model.name,
        scores=scores,
        files={part: tuple(one.path.name for one in own) for part, own in parts.items()},
        audio_seconds={part: sum(one.seconds for one in own) for part, own in parts.items()},
        cached=cached,
    )


def _document(boards: Sequence[Board], found: Sequence[Breach]) -> str:
    facts = {"boards": [asdict(board) for board in boards], "breaches": [asdict(b) for b in found]}
    return json.dumps(facts, indent=1, ensure_ascii=False) + "\n"


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m hack.real", description=__doc__)
    parser.add_argument(
        "--model", choices=(*MODELS, "both"), help="both, unless it is the quick form: tiny.en"
    )
    parser.add_argument("--quick", action="store_true", help="a few files of most parts, minutes")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=tuple(PARTS))
    parser.add_argument(
        "--by", nargs="+", choices=CONTENDERS, help="all, unless it is the quick form: some"
    )
    parser.add_argument(
        "--every", type=int, default=1, metavar="N", help="every Nth file of a part; all of them"
    )
    parser.add_argument(
        "--longest", type=float, default=math.inf, metavar="MINUTES", help="no longer files"
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="take what a run of the same sources has heard, also of ours, from the cache",
    )
    parser.add_argument("--json", type=Path, help="file for the scores of every file")
    parser.add_argument("--page", type=Path, help="page of the docs for the tables")
    parser.add_argument("--picture", type=Path, help="file for the picture (SVG)")
    arguments = parser.parse_args()
    arguments.extent = Extent.QUICK if arguments.quick else Extent.FULL
    chosen = arguments.model or (TINY if arguments.quick else "both")
    arguments.by = arguments.by or (_QUICK_CONTENDERS if arguments.quick else CONTENDERS)
    # Everybody is measured by the library.
    wanted = {LIBRARY, *arguments.by, *map(measured_by, arguments.by)}
    arguments.by = tuple(name for name in CONTENDERS if name in wanted)
    arguments.models = MODELS if chosen == "both" else (chosen,)
    return arguments


if __name__ == "__main__":
    main()
