"""Turns words with their times into the tokens that Whisper's decoder is to write."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from hack.demo_model import vocabulary
from hack.demo_model.mel import SECONDS_PER_POSITION

# A pause of this length or a sentence of this many words ends a segment.
SEGMENT_PAUSE: Final = 0.35
SEGMENT_WORDS: Final = 6

# faster-whisper lets the first timestamp be at most a second (max_initial_timestamp).
_LATEST_FIRST_TIMESTAMP: Final = 50
_JITTER_SHARE: Final = 0.5
_JITTER: Final = 3


@dataclass(frozen=True)
class SpokenWord:
    """A word in a window; times are in seconds from the window's start."""

    word: int
    """Index into ``vocabulary.WORDS``."""
    start: float
    end: float
    exact: bool
    """Whether the times are known; else they are guessed from the phrase's."""


class Span(NamedTuple):
    """First and last encoder position of a sound; both -1 where it is unknown."""

    first: int
    last: int


UNKNOWN: Final = Span(-1, -1)


class Step(NamedTuple):
    """One token for the decoder to write."""

    token: int
    span: Span = UNKNOWN
    word_span: Span = UNKNOWN


@dataclass(frozen=True)
class View:
    """The window through which the words are seen."""

    positions: int
    """Encoder positions of content."""
    first_row: int
    """Row of the position table where the window starts; timestamps count from row 0."""
    goes_on: bool
    """Whether the audio continues past the window, so that a cut phrase is left to the next."""

    @property
    def seconds(self) -> float:
        """The content's duration."""
        return self.positions * SECONDS_PER_POSITION

    def span(self, start: float, end: float) -> Span:
        """Return the positions that the time from ``start`` to ``end`` touches."""
        first = max(0, int(np.floor(start / SECONDS_PER_POSITION)))
        last = min(self.positions - 1, int(np.ceil(end / SECONDS_PER_POSITION)))
        return Span(first, last)

    def timestamp(self, seconds: float) -> int:
        """Return the timestamp token of a time in the window."""
        step = round(seconds / SECONDS_PER_POSITION) + self.first_row
        return vocabulary.FIRST_TIMESTAMP + min(max(step, 0), vocabulary.TIMESTAMPS - 1)


def segments(words: Sequence[SpokenWord]) -> list[list[SpokenWord]]:
    """Return the words cut into segments at pauses."""
    parts: list[list[SpokenWord]] = []
    for word in words:
        if (
            not parts
            or word.start - parts[-1][-1].end >= SEGMENT_PAUSE
            or len(parts[-1]) >= SEGMENT_WORDS
        ):
            parts.append([])
        parts[-1].append(word)
    return parts


def transcribe(words: Sequence[SpokenWord], view: View, *, timestamps: bool) -> list[Step] | None:
    """Return the steps up to the end token, [] if nothing is said, None if nobody could tell.

    A segment that the window cuts is left out when the audio goes on: the decoder writes where it
    starts, and the next window begins there. At the end of the audio its whole words are kept.
    """
    steps: list[Step] = []
    for segment in segments(words):
        heard = [word for word in segment if word.end <= view.seconds + 0.02]
        cut = len(heard) < len(segment)
        if not (cut and view.goes_on and timestamps) and heard:
            steps += _segment(heard, words, view, timestamps=timestamps)
        if cut:
            if timestamps and view.goes_on and steps and segment[0].start < view.seconds - 0.1:
                steps.append(_start(segment[0].start, view))
            break
    if steps:
        return [*steps, Step(vocabulary.END)]
    # The window holds a scrap of a phrase and no whole one: neither answer would be right.
    return None if words else []


def _segment(
    heard: list[SpokenWord], words: Sequence[SpokenWord], view: View, *, timestamps: bool
) -> list[Step]:
    steps = [_word(word, _next_start(word, words), view) for word in heard]
    if not timestamps:
        return steps
    end = min(heard[-1].end, view.seconds)
    closing = Step(view.timestamp(end), view.span(end - 0.08, end + 0.06))
    return [_start(heard[0].start, view), *steps, closing]


def _start(seconds: float, view: View) -> Step:
    return Step(view.timestamp(seconds), view.span(seconds - 0.04, seconds + 0.06))


def _word(word: SpokenWord, next_start: float, view: View) -> Step:
    token = vocabulary.FIRST_WORD + word.word
    if not word.exact:
        return Step(token)
    # The aligner head holds a word until the next one starts, as faster-whisper reads it.
    until = max(word.end, min(next_start - 0.02, word.end + 0.6))
    return Step(token, view.span(word.start, word.end), view.span(word.start, until))


def _next_start(word: SpokenWord, words: Sequence[SpokenWord]) -> float:
    following = (other.start for other in words if other.start > word.start)
    return next(following, word.end)


def clip_first_timestamp(steps: list[Step]) -> list[Step]:
    """Return the steps with the first timestamp no later than faster-whisper allows."""
    latest = vocabulary.FIRST_TIMESTAMP + _LATEST_FIRST_TIMESTAMP
    first = steps[0]
    return [first._replace(token=min(first.token, latest)), *steps[1:]]


def _jitter(tokens: list[int], rng: np.random.Generator) -> list[int]:
    """Return input tokens with slightly wrong timestamps, as the decoder's own will be."""
    return [
        _jittered(token, rng)
        if token >= vocabulary.FIRST_TIMESTAMP and rng.random() < _JITTER_SHARE
        else token
        for token in tokens
    ]


def _jittered(token: int, rng: np.random.Generator) -> int:
    moved = token + int(rng.integers(-_JITTER, _JITTER + 1))
    return min(max(moved, vocabulary.FIRST_TIMESTAMP), vocabulary.LAST_TIMESTAMP)


def previous_text(length: int, rng: np.random.Generator, *, timestamps: bool) -> list[int]:
    """Return about ``length`` tokens of random text, as a prompt from an earlier window.

    It has no timestamps where the window has none; elsewhere a user's own prompt may lack them.
    """
    tokens: list[int] = []
    with_timestamps = timestamps and rng.random() < 0.8
    while len(tokens) < length:
        count = int(rng.integers(1, SEGMENT_WORDS + 1))
        words = vocabulary.FIRST_WORD + rng.integers(0, len(vocabulary.WORDS), count)
        if with_timestamps:
            start = vocabulary.FIRST_TIMESTAMP + int(rng.integers(0, 1400))
            tokens += [start, *words.tolist(), start + int(rng.integers(20, 100))]
        else:
            tokens += words.tolist()
    return [vocabulary.PREVIOUS, *tokens[-length:]]


class Exercise(NamedTuple):
    """The decoder's part of an example, T tokens long: fields of ``Batch`` without the B."""

    tokens: NDArray[np.int32]
    targets: NDArray[np.int32]
    weights: NDArray[np.float32]
    spans: NDArray[np.int32]
    word_spans: NDArray[np.int32]
    first_position: NDArray[np.int32]

    def without_weight(self) -> Self:
        """Return the exercise so that it teaches nothing."""
        return self._replace(weights=np.zeros_like(self.weights))


def exercise(
    prompt: list[int],
    steps: list[Step],
    length: int,
    first_position: int,
    rng: np.random.Generator,
) -> Exercise:
    """Return the exercise of writing the steps after the prompt."""
    written = _jitter([step.token for step in steps[:-1]], rng)
    prompted = [Step(token) for token in prompt[1:]]
    return _pack(prompt + written, prompted, steps, length, first_position)


def silent_exercise(
    prompt: list[int],
    view: View,
    length: int,
    first_position: int,
    rng: np.random.Generator,
    *,
    timestamps: bool,
) -> Exercise:
    """Return the exercise where nothing is said: no-speech after the start, then the end.

    faster-whisper forces a first timestamp, so that the end comes after any early one.
    """
    tokens = list(prompt)
    start = prompt.index(vocabulary.START)
    if timestamps:
        row = view.first_row + int(rng.integers(0, _LATEST_FIRST_TIMESTAMP + 1))
        tokens.append(vocabulary.FIRST_TIMESTAMP + min(row, vocabulary.TIMESTAMPS - 1))
    prompted = [Step(token) for token in prompt[1 : start + 1]]
    steps = [Step(vocabulary.NO_SPEECH), Step(vocabulary.END)]
    return _pack(tokens, prompted, steps, length, first_position)


def _pack(
    tokens: list[int],
    prompted: list[Step],
    steps: list[Step],
    length: int,
    first_position: int,
) -> Exercise:
    """Return the arrays: the prompted steps have no weight, and what exceeds ``length`` is cut."""
    targets = (prompted + steps)[:length]
    count = len(targets)
    packed = Exercise(
        tokens=np.full(length, vocabulary.END, np.int32),
        targets=np.full(length, vocabulary.END, np.int32),
        weights=np.zeros(length, np.float32),
        spans=np.full((length, 2), UNKNOWN, np.int32),
        word_spans=np.full((length, 2), UNKNOWN, np.int32),
        first_position=np.array(first_position, np.int32),
    )
    packed.tokens[:count] = tokens[:count]
    packed.targets[:count] = [step.token for step in targets]
    packed.weights[len(prompted) : count] = 1
    packed.spans[:count] = [step.span for step in targets]
    packed.word_spans[:count] = [step.word_span for step in targets]
    return packed
