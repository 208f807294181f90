"""The scores of all contenders on all parts, and the bounds that ours must keep."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from hack.real.contenders import (
    LIBRARY,
    OURS,
    measured_by,
)
from hack.real.corpus.build import CLIPS, CONTAINERS, LANGUAGES, LOOPS, NARROW
from hack.real.score import FileScore, Score, total

__all__ = ["BOUNDS", "PART_POINTS", "WHOLE", "Board", "Bound", "Breach", "breaches"]

_WHOLE_POINTS: Final = 0.1
# On one part, ours may have so many more wrong words in a hundred than the library.
PART_POINTS: Final = 0.5
# Noise hides where speech begins, and a model that is unsure of the words is so of their times: on
# these parts and on the whole.
_EXACT: Final = (CLIPS, CONTAINERS)
_TIMES_SECONDS: Final = 0.3
# Where the library is no measure: it adds channels that cancel, and its detector takes speech
# without low tones for none. Who does as it does loses a third of a file's words or more.
_BEYOND_LIBRARY: Final = (CONTAINERS, NARROW)
_FILE_PERCENT: Final = 25.0
# A model that loops says hundreds of words too many, and a poor voice is half understood: these,
# too, would outweigh all else.
_APART: Final = (*_BEYOND_LIBRARY, LANGUAGES, LOOPS)
WHOLE: Final = "all parts but " + ", ".join(_APART)


@dataclass(frozen=True, slots=True)
class Board:
    """A model's scores by part and contender, and the files of each part by their names.

    `cached` says of how many files of a part a contender's words were known before.
    """

    model: str
    scores: dict[str, dict[str, Score]]
    files: dict[str, tuple[str, ...]]
    audio_seconds: dict[str, float]
    cached: dict[str, dict[str, int]] = field(default_factory=dict)

    def whole(self, contender: str) -> Score:
        """Return a contender's score on all parts that count for the whole."""
        return total(own[contender] for part, own in self.scores.items() if part not in _APART)

    @property
    def whole_seconds(self) -> float:
        """The audio of the same parts."""
        return sum(s for part, s in self.audio_seconds.items() if part not in _APART)

    @property
    def ours(self) -> list[str]:
        """Return those of ours that have run."""
        ran = next(iter(self.scores.values()), {})
        return [name for name in OURS if name in ran]


@dataclass(frozen=True, slots=True)
class Breach:
    """A bound that was not kept: by whom, on which part, and how far from it."""

    bound: str
    model: str
    part: str
    contender: str
    says: str


@dataclass(frozen=True, slots=True)
class Bound:
    """What must hold; `check` yields part, contender and a sentence for each time it does not."""

    name: str
    check: Callable[[Board], Iterator[tuple[str, str, str]]]


def breaches(board: Board, bounds: tuple["Bound", ...] | None = None) -> list[Breach]:
    """Return every bound that is not kept, in the order of the bounds."""
    return [
        Breach(bound.name, board.model, *found)
        for bound in bounds or BOUNDS
        for found in bound.check(board)
    ]


def _whole_words(board: Board) -> Iterator[tuple[str, str, str]]:
    for name in board.ours:
        library = board.whole(measured_by(name)).error_rate
        own = board.whole(name).error_rate
        if own > library + _WHOLE_POINTS:
            yield WHOLE, name, f"{own:.2f} % of words wrong, the library {library:.2f} %"


def _words_of_parts(board: Board) -> Iterator[tuple[str, str, str]]:
    for part, scores in board.scores.items():
        if part == LOOPS:
            # What is sampled after a loop is luck: 30 % wrong in one run and 206 % in another.
            continue
        for name in board.ours:
            library = scores[measured_by(name)].error_rate
            own = scores[name].error_rate
            if own > library + PART_POINTS:
                yield part, name, f"{own:.2f} % of words wrong, the library {library:.2f} %"


def _nothing_lost(board: Board) -> Iterator[tuple[str, str, str]]:
    for part, name, file, score in _files(board):
        if score.lost and part != LOOPS:
            yield part, name, f"{file}: {'; '.join(score.lost)}"


def _cues(board: Board) -> Iterator[tuple[str, str, str]]:
    for part, name, file, score in _files(board):
        if score.faults:
            yield part, name, f"{file}: {'; '.join(score.faults)}"


def _nothing_invented(board: Board) -> Iterator[tuple[str, str, str]]:
    for part, name, file, score in _files(board):
        # Who is told to read everything makes words of noise.
        if measured_by(name) == LIBRARY and not score.words and score.insertions:
            yield part, name, f"{file}: {score.insertions} words where nobody speaks"


def _languages(board: Board) -> Iterator[tuple[str, str, str]]:
    for part, scores in board.scores.items():
        library = scores[LIBRARY].languages_wrong
        for name in board.ours:
            if (own := scores[name].languages_wrong) > library:
                yield part, name, f"{own} files in a wrong language, the library {library}"


def _times(board: Board) -> Iterator[tuple[str, str, str]]:
    for name in board.ours:
        judged = {part: board.scores[part][name] for part in _EXACT if part in board.scores}
        for part, score in (judged | {WHOLE: board.whole(name)}).items():
            for what, error in (("cues", score.cue_error(0.95)), ("words", score.word_error(0.95))):
                if error > _TIMES_SECONDS:
                    says = f"times of {what} are up to {error:.2f} s from the truth (p95)"
                    yield part, name, says


def _words_beyond_library(board: Board) -> Iterator[tuple[str, str, str]]:
    for part, name, file, score in _files(board):
        own = 100 * score.wrong / score.words if score.words else 0.0
        if part in _BEYOND_LIBRARY and own > _FILE_PERCENT:
            yield part, name, f"{file}: {own:.0f} % of words wrong"


def _files(board: Board) -> Iterator[tuple[str, str, str, FileScore]]:
    for part, scores in board.scores.items():
        for name in board.ours:
            for file, score in zip(board.files[part], scores[name].files, strict=True):
                yield part, name, file, score


BOUNDS: Final = (
    Bound(f"at most {_WHOLE_POINTS} points more words wrong than the library", _whole_words),
    Bound(f"at most {PART_POINTS} points more on any part", _words_of_parts),
    Bound("no two words in a row lost that the library has", _nothing_lost),
    Bound("cues neither overlap nor span a pause nor end after the audio", _cues),
    Bound("no words where nobody speaks", _nothing_invented),
    Bound("no more files in a wrong language than the library", _languages),
    Bound(
        f"95 % of times within {_TIMES_SECONDS} s of the truth, on the whole and on "
        + " and ".join(_EXACT),
        _times,
    ),
    Bound(
        f"at most {_FILE_PERCENT:g} % of words wrong in any file of {' or '.join(_BEYOND_LIBRARY)}",
        _words_beyond_library,
    ),
)
