"""Speech end to end, as if the pauses between had not been, with a bounded part in memory."""

import numpy as np
from numpy.typing import NDArray

from whisperfleet.pages import concatenate_outside_heap
from whisperfleet.segmentation.detector import within
from whisperfleet.segmentation.speech import Speech
from whisperfleet.segmentation.timeline import Piece, Timeline

__all__ = ["SpeechBuffer"]


class SpeechBuffer:
    """A buffer of samples that is written at its end and forgotten from its beginning.

    Positions are samples from the beginning of the buffer, forgotten or not.
    """

    def __init__(self) -> None:
        self._samples: NDArray[np.int16] = np.empty(0, np.int16)
        self._first = 0
        # Each piece with the position of its first sample on the buffer.
        self._pieces: list[tuple[int, Piece]] = []

    @property
    def length(self) -> int:
        """The position after the last sample."""
        return self._first + len(self._samples)

    @property
    def held(self) -> int:
        """The number of samples in memory."""
        return len(self._samples)

    def append(self, span: Speech) -> None:
        """Write a span at the end."""
        self._pieces.append((self.length, Piece(span.start, len(span.samples), span.heard)))
        self._samples = concatenate_outside_heap([self._samples, span.samples])

    def read(self, start: int, end: int) -> NDArray[np.int16]:
        """Return the samples from `start` to `end`, fewer where the buffer ends before."""
        if start < self._first:
            raise ValueError(
                f"position {start} of the buffer was forgotten, it begins at {self._first}"
            )
        return self._samples[start - self._first : end - self._first]

    def timeline(self, start: int, end: int) -> Timeline:
        """Return the timeline of the part from `start` to `end`, which must not be empty."""
        pieces = []
        for position, piece in self._pieces:
            first = max(start, position)
            last = min(end, position + piece.samples)
            if first < last:
                pieces.append(_part(piece, first - position, last - position))
        return Timeline(tuple(pieces))

    def forget(self, before: int) -> None:
        """Drop what lies before a position."""
        drop = max(0, min(before - self._first, len(self._samples)))
        self._samples = concatenate_outside_heap([self._samples[drop:]])
        self._first += drop
        self._pieces = [
            (position, piece)
            for position, piece in self._pieces
            if position + piece.samples > self._first
        ]


def _part(piece: Piece, first: int, last: int) -> Piece:
    """Return the part of a piece between two of its samples."""
    start, end = piece.start + first, piece.start + last
    return Piece(start, end - start, within(piece.heard, start, end))
