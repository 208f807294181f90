"""Runs of speech that are set end to end, and their parts: pure."""

from collections.abc import Iterator, Sequence

from whisperfleet.segmentation.speech import Speech
from whisperfleet.segmentation.timeline import Piece, Timeline

__all__ = ["Run", "length_of", "skip", "speech_within", "take", "timeline_of"]

# Runs of speech, some after the others.
Run = tuple[Speech, ...]


def length_of(run: Sequence[Speech]) -> int:
    """Return the samples of all runs together."""
    return sum(len(span.samples) for span in run)


def take(run: Sequence[Speech], samples: int) -> Run:
    """Return the first so many samples."""
    return tuple(_between(run, 0, samples))


def skip(run: Sequence[Speech], samples: int) -> Run:
    """Return what follows the first so many samples."""
    return tuple(_between(run, samples, length_of(run)))


def speech_within(run: Sequence[Speech], start: int, end: int) -> int:
    """Return for how many of the samples from `start` to `end` the detector hears speech."""
    return sum(b - a for span in _between(run, start, end) for a, b in span.heard)


def timeline_of(run: Sequence[Speech]) -> Timeline:
    """Return the timeline of a window that holds the runs."""
    return Timeline(tuple(Piece(span.start, len(span.samples), span.heard) for span in run))


def _between(run: Sequence[Speech], first: int, last: int) -> Iterator[Speech]:
    position = 0
    for span in run:
        start = max(first, position) - position
        end = min(last, position + len(span.samples)) - position
        if start < end:
            yield span.part(span.start + start, span.start + end)
        position += len(span.samples)
