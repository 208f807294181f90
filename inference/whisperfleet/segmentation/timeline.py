"""From seconds within a window to seconds of the file: pure arithmetic."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from whisperfleet.engine.interface import SAMPLE_RATE, word_place

__all__ = ["Piece", "Timeline"]

# A timestamp of the model is wrong by so much, in samples, without meaning it.
_INEXACT = 3 * SAMPLE_RATE // 10
# Where the detector's pauses are left out by default, so long a one is: twice the padding.
_PAUSE = 8 * SAMPLE_RATE // 10


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of `samples` samples that begins at sample `start` of the file.

    `speech` are the samples of the file between which the detector hears speech, in order; None
    where it was not asked.
    """

    start: int
    samples: int
    speech: tuple[tuple[int, int], ...] | None = None

    @property
    def end(self) -> int:
        """The sample of the file after the last of the piece."""
        return self.start + self.samples

    @property
    def heard(self) -> tuple[tuple[int, int], ...]:
        """From where to where there is speech: all of the piece where nothing is known."""
        return ((self.start, self.end),) if self.speech is None else self.speech


@dataclass(frozen=True, slots=True)
class Timeline:
    """Where the pieces of a window, set end to end, lie in the file.

    What spans pieces that do not touch in the file belongs to those that its middle lies in, and
    nothing begins or ends outside of them.
    """

    pieces: tuple[Piece, ...]

    @property
    def start(self) -> int:
        """The sample of the file that the window begins with."""
        return self.pieces[0].start

    @property
    def seams(self) -> tuple[float, ...]:
        """The seconds of the window at which a part of the file was left out or a pause was kept.

        They are in order; that of a pause is its middle.
        """
        seams: list[float] = []
        position, said_until = 0, None
        before = self.pieces[0]
        for piece in self.pieces:
            if piece is not before and piece.start != before.end:
                seams.append(position)
                said_until = None
            for onset, offset in piece.heard:
                begin, finish = position + onset - piece.start, position + offset - piece.start
                if said_until is not None and begin - said_until > _PAUSE:
                    seams.append((said_until + begin) / 2)
                said_until = finish
            position += piece.samples
            before = piece
        return tuple(seam / SAMPLE_RATE for seam in seams)

    def locate_segment(self, start: float, end: float) -> tuple[float, float]:
        """Return the start and end of a segment in seconds of the file."""
        first, last = self._touching(self._piece_at((start + end) / 2))
        at_start = min(max(self._piece_at(start), first), last)
        at_end = min(max(self._piece_at(end, is_end=True), first), last)
        begin, finish = self._shift(start, at_start), self._shift(end, at_end)
        span = _within_speech(begin, finish, self.pieces[first : last + 1], _INEXACT)
        return span[0] / SAMPLE_RATE, span[1] / SAMPLE_RATE

    def locate_word(self, start: float, end: float) -> tuple[float, float]:
        """Return the start and end of a word in seconds of the file.

        Both follow the one piece that the word was said in, so that no word spans a pause.
        """
        index = self._piece_at(word_place(start, end))
        begin, finish = self._shift(start, index), self._shift(end, index)
        # A word is hardly longer than what a timestamp may be wrong by.
        span = _within_speech(begin, finish, self.pieces[index : index + 1], 0)
        return span[0] / SAMPLE_RATE, span[1] / SAMPLE_RATE

    def _touching(self, index: int) -> tuple[int, int]:
        """Return the first and last of the pieces that touch, one after the other, around one."""
        first = last = index
        while first and self.pieces[first - 1].end == self.pieces[first].start:
            first -= 1
        while last + 1 < len(self.pieces) and self.pieces[last].end == self.pieces[last + 1].start:
            last += 1
        return first, last

    def _piece_at(self, seconds: float, *, is_end: bool = False) -> int:
        ends = list(accumulate(piece.samples for piece in self.pieces))
        bisect = bisect_left if is_end else bisect_right
        return min(bisect(ends, round(seconds * SAMPLE_RATE)), len(ends) - 1)

    def _shift(self, seconds: float, index: int) -> float:
        """Return the sample of the file, not rounded, if the time lies in or near this piece."""
        before = sum(piece.samples for piece in self.pieces[:index])
        return max(0.0, seconds * SAMPLE_RATE + self.pieces[index].start - before)


def _clamp(sample: float, low: float, high: float) -> float:
    return min(max(sample, low), high)


def _within_speech(
    begin: float, finish: float, pieces: Sequence[Piece], inexact: float
) -> tuple[float, float]:
    """Return from where to where there is speech between two samples; both where there is none.

    Speech of which no more than `inexact` samples are reached at an end is not meant.
    """
    low, high = pieces[0].start, pieces[-1].end
    begin, finish = _clamp(begin, low, high), _clamp(finish, low, high)
    heard = [sound for piece in pieces for sound in piece.heard]
    starts = [max(begin, a) for a, b in heard if b - begin > min(inexact, (b - a) / 2)]
    ends = [min(finish, b) for a, b in heard if finish - a > min(inexact, (b - a) / 2)]
    if starts and ends and starts[0] < ends[-1]:
        return starts[0], ends[-1]
    return begin, finish
