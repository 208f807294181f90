"""How far what was heard is from what was said and when: pure."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final

from hack.real.align import Alignment, align
from hack.real.corpus.compose import Phrase
from hack.real.heard import Cue, Heard
from hack.real.normalise import words_of

__all__ = [
    "FileScore",
    "Score",
    "Truth",
    "cue_faults",
    "lost_runs",
    "score_file",
    "total",
]

# Words deleted one after the other that make a run.
_RUN: Final = 2
# A pause of this length is a pause, and a cue that reaches so far out of it on both sides spans it.
_PAUSE_SECONDS: Final = 1.0
_REACH_SECONDS: Final = 0.3
# Times are rounded to milliseconds.
_ROUNDING_SECONDS: Final = 0.0015


@dataclass(frozen=True, slots=True)
class Truth:
    """What was said in a file of so many seconds; `language` None where nobody spoke."""

    phrases: tuple[Phrase, ...]
    seconds: float
    language: str | None = "en"

    @property
    def words(self) -> list[str]:
        """All words in order."""
        return [word for phrase in self.phrases for word in words_of(phrase.text)]


@dataclass(frozen=True, slots=True)
class FileScore:
    """One file: its words and how they were missed.

    `lost` are runs of two deleted words or more that another transcript of the file has. Errors of
    times are in seconds, each at a beginning or an end of a phrase that was heard as such.
    """

    words: int
    substitutions: int
    deletions: int
    insertions: int
    lost: tuple[str, ...]
    faults: tuple[str, ...]
    cue_errors: tuple[float, ...]
    word_errors: tuple[float, ...]
    language_right: bool

    @property
    def wrong(self) -> int:
        """How many words were changed, left out or added."""
        return self.substitutions + self.deletions + self.insertions


@dataclass(frozen=True, slots=True)
class Score:
    """Some files together."""

    files: tuple[FileScore, ...]

    @property
    def words(self) -> int:
        """How many words were said."""
        return sum(file.words for file in self.files)

    @property
    def wrong(self) -> int:
        """How many of them were changed or left out, or added to them."""
        return sum(file.wrong for file in self.files)

    @property
    def error_rate(self) -> float:
        """Wrong words for a hundred words said; 0 where none was said."""
        return 100 * self.wrong / self.words if self.words else 0.0

    @property
    def invented(self) -> int:
        """How many words were heard in files in which none was said."""
        return sum(file.insertions for file in self.files if not file.words)

    @property
    def lost(self) -> int:
        """How many runs of words were lost."""
        return sum(len(file.lost) for file in self.files)

    @property
    def faults(self) -> int:
        """How many cues break a rule."""
        return sum(len(file.faults) for file in self.files)

    @property
    def languages_wrong(self) -> int:
        """How many files were taken for another language."""
        return sum(not file.language_right for file in self.files)

    def cue_error(self, share: float) -> float:
        """Return the error in seconds that so many of the cues' times do not exceed, or nan."""
        return _quantile((error for file in self.files for error in file.cue_errors), share)

    def word_error(self, share: float) -> float:
        """Return the same for the times of words."""
        return _quantile((error for file in self.files for error in file.word_errors), share)


def total(scores: Iterable[Score]) -> Score:
    """Return the files of all scores as one."""
    return Score(tuple(file for score in scores for file in score.files))


def score_file(truth: Truth, heard: Heard, other: Heard) -> FileScore:
    """Score what was heard in a file; `other` is a transcript that should not have more words."""
    said = truth.words
    aligned = align(said, _words(heard))
    return FileScore(
        words=len(said),
        substitutions=aligned.substitutions,
        deletions=len(aligned.deleted),
        insertions=aligned.insertions,
        lost=tuple(lost_runs(said, aligned, align(said, _words(other)))),
        faults=tuple(cue_faults(heard.cues, truth)),
        cue_errors=tuple(_cue_errors(truth, heard.cues, aligned)),
        word_errors=tuple(_word_errors(truth, heard.cues)),
        language_right=truth.language in {None, heard.language},
    )


def lost_runs(said: Sequence[str], ours: Alignment, other: Alignment) -> Iterator[str]:
    """Yield each run of two words or more in a row that we deleted and the other has."""
    has = set(other.matched.values())
    run: list[str] = []
    for place, word in enumerate(said):
        if place in ours.deleted and place in has:
            run.append(word)
            continue
        if len(run) >= _RUN:
            yield " ".join(run)
        run = []
    if len(run) >= _RUN:
        yield " ".join(run)


def cue_faults(cues: Sequence[Cue], truth: Truth) -> Iterator[str]:
    """Yield a sentence for each rule that a cue breaks.

    A cue begins before it ends, ends before the next begins and within the audio, and does not span
    a pause.
    """
    pauses = list(_pauses(truth.phrases))
    for number, cue in enumerate(cues, start=1):
        span = f"cue {number}, {cue.start:.3f} to {cue.end:.3f} s"
        if cue.start >= cue.end:
            yield f"{span}, is empty"
        if cue.end > truth.seconds + _ROUNDING_SECONDS:
            yield f"{span}, ends after the audio ({truth.seconds:.3f} s)"
        for start, end in pauses:
            if cue.start < start - _REACH_SECONDS and cue.end > end + _REACH_SECONDS:
                yield f"{span}, spans the pause from {start:.3f} to {end:.3f} s"
    for number, (cue, following) in enumerate(pairwise(cues), start=1):
        if cue.end > following.start + _ROUNDING_SECONDS:
            yield f"cue {number} ends at {cue.end:.3f} s, the next begins at {following.start:.3f}"


def _pauses(phrases: Sequence[Phrase]) -> Iterator[tuple[float, float]]:
    said_until = accumulate((phrase.end for phrase in phrases), max)
    for end, following in zip(said_until, phrases[1:], strict=False):
        if following.start - end > _PAUSE_SECONDS:
            yield end, following.start


def _words(heard: Heard) -> list[str]:
    # By cues, so that each word is one cue's.
    return [word for cue in heard.cues for word in words_of(cue.text)]


def _edges(truth: Truth) -> tuple[dict[int, float], dict[int, float]]:
    """Return the seconds at which phrases begin and end, by the places of those words."""
    starts: dict[int, float] = {}
    ends: dict[int, float] = {}
    place = 0
    for phrase in truth.phrases:
        words = len(words_of(phrase.text))
        if words:
            starts[place] = phrase.start
            ends[place + words - 1] = phrase.end
        place += words
    return starts, ends


def _cue_errors(truth: Truth, cues: Sequence[Cue], aligned: Alignment) -> Iterator[float]:
    starts, ends = _edges(truth)
    place = 0
    for cue in cues:
        words = len(words_of(cue.text))
        first, last = aligned.matched.get(place), aligned.matched.get(place + words - 1)
        if words and first in starts:
            yield abs(cue.start - starts[first])
        if words and last in ends:
            yield abs(cue.end - ends[last])
        place += words


def _word_errors(truth: Truth, cues: Sequence[Cue]) -> Iterator[float]:
    timed = [(word, token) for cue in cues for word in cue.words for token in words_of(word.text)]
    if not timed:
        return
    starts, ends = _edges(truth)
    aligned = align(truth.words, [token for _, token in timed])
    for place, said in aligned.matched.items():
        word, _ = timed[place]
        if said in starts:
            yield abs(word.start - starts[said])
        if said in ends:
            yield abs(word.end - ends[said])


def _quantile(values: Iterable[float], share: float) -> float:
    """Return the smallest value that at least this share of the values does not exceed, or nan."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan
