"""From seconds within a window to seconds of the file: pure arithmetic."""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import accumulate, pairwise

from whisperfleet.engine.seam import SAMPLE_RATE

__all__ = ["Clock", "Piece"]


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of `samples` samples that begins at sample `start` of the file.

    `speech` are the samples of the file between which the detector hears speech; None where it was
    not asked.
    """

    start: int
    samples: int
    speech: tuple[int, int] | None = None

    @property
    def end(self) -> int:
        """The sample of the file after the last of the piece."""
        return self.start + self.samples

    @property
    def heard(self) -> tuple[int, int]:
        """From where to where there is speech: all of the piece where nothing is known."""
        return self.speech or (self.start, self.end)


@dataclass(frozen=True, slots=True)
class Clock:
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
        """The seconds of the window at which a part of the file was left out."""
        ends = accumulate(piece.samples for piece in self.pieces)
        return tuple(
            end / SAMPLE_RATE
            for (before, after), end in zip(pairwise(self.pieces), ends, strict=False)
            if before.end != after.start
        )

    def locate_segment(self, start: float, end: float) -> tuple[float, float]:
        """Return the start and end of a segment in seconds of the file."""
        first, last = self._touching(self._piece_at((start + end) / 2))
        at_start = min(max(self._piece_at(start), first), last)
        at_end = min(max(self._piece_at(end, is_end=True), first), last)
        low, high = self.pieces[first].start, self.pieces[last].end
        begin = _clamp(self._shift(start, at_start), low, high)
        finish = _clamp(self._shift(end, at_end), low, high)
        onset = _onset(begin, self.pieces[at_start : last + 1])
        offset = _offset(finish, self.pieces[first : at_end + 1])
        if onset >= offset:
            # The detector hears nothing there.
            onset, offset = begin, finish
        return onset / SAMPLE_RATE, offset / SAMPLE_RATE

    def locate_word(self, start: float, end: float) -> tuple[float, float]:
        """Return the start and end of a word in seconds of the file.

        Both follow the piece that its middle lies in, so that no word spans a pause.
        """
        index = self._piece_at((start + end) / 2)
        begin, finish = self._shift(start, index), self._shift(end, index)
        low, high = self.pieces[index].heard
        if not low <= (begin + finish) / 2 <= high:
            # The detector hears nothing there.
            low, high = self.pieces[index].start, self.pieces[index].end
        return _clamp(begin, low, high) / SAMPLE_RATE, _clamp(finish, low, high) / SAMPLE_RATE

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


def _onset(sample: float, pieces: tuple[Piece, ...]) -> float:
    """Return the first sample from `sample` on in which there is speech."""
    for piece in pieces:
        onset, offset = piece.heard
        if sample < offset and onset < offset:
            return max(sample, onset)
    return sample


def _offset(sample: float, pieces: tuple[Piece, ...]) -> float:
    """Return the last sample up to `sample` in which there is speech."""
    for piece in reversed(pieces):
        onset, offset = piece.heard
        if sample > onset and onset < offset:
            return min(sample, offset)
    return sample
