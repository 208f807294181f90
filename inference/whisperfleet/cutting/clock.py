"""From seconds within a window to seconds of the file: pure arithmetic."""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import accumulate

from whisperfleet.engine.seam import SAMPLE_RATE

__all__ = ["Clock", "Piece"]


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of `samples` samples that begins at sample `start` of the file."""

    start: int
    samples: int

    @property
    def end(self) -> int:
        """The sample of the file after the last of the piece."""
        return self.start + self.samples


@dataclass(frozen=True, slots=True)
class Clock:
    """Where the pieces of a window, set end to end, lie in the file.

    A time after the last piece is counted on from it. Where two pieces meet, a start belongs to the
    later one and an end to the earlier, as in faster-whisper's `SpeechTimestampsMap`.
    """

    pieces: tuple[Piece, ...]

    def locate_segment(self, start: float, end: float) -> tuple[float, float]:
        """Return the start and end of a segment in seconds of the file."""
        return (
            self._shift(start, self._piece_at(start, is_end=False)),
            self._shift(end, self._piece_at(end, is_end=True)),
        )

    def locate_word(self, start: float, end: float) -> tuple[float, float]:
        """Return the start and end of a word in seconds of the file.

        Both follow the piece that its middle lies in, so that no word spans a pause.
        """
        index = self._piece_at((start + end) / 2, is_end=False)
        return self._shift(start, index), self._shift(end, index)

    def _piece_at(self, seconds: float, *, is_end: bool) -> int:
        ends = list(accumulate(piece.samples for piece in self.pieces))
        bisect = bisect_left if is_end else bisect_right
        return min(bisect(ends, round(seconds * SAMPLE_RATE)), len(ends) - 1)

    def _shift(self, seconds: float, index: int) -> float:
        before = sum(piece.samples for piece in self.pieces[:index])
        return max(0.0, seconds + (self.pieces[index].start - before) / SAMPLE_RATE)
