"""Segmenters without a detector, and answers that follow a rule instead of a model."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from support.engine.synthetic import RATE
from whisperfleet.engine import WindowResult, WindowSegment, WindowWord
from whisperfleet.segmentation import PlacedWindow
from whisperfleet.segmentation.speech import Speech


def speech(start: float, end: float, *, joined: bool = False, padding: float = 0.0) -> Speech:
    """Return a run between two seconds of a file, with speech in all of it but the padding."""
    first, last, pad = (round(seconds * RATE) for seconds in (start, end, padding))
    # Every sample says where it is, so that no two windows are alike.
    samples = (np.arange(first, last) % 30_011).astype(np.int16)
    heard = ((first + pad, last - pad),) if first + pad < last - pad else ()
    return Speech(first, samples, heard, joined)


class Heard:
    """Reads runs of speech that are given, and counts as the real reader does."""

    def __init__(self, runs: Iterable[Speech]) -> None:
        self.decoded_samples = 0
        self.speech_samples = 0
        self._runs = iter(runs)

    def __iter__(self) -> Iterator[Speech]:
        return self

    def __next__(self) -> Speech:
        run = next(self._runs)
        self.decoded_samples = run.end
        self.speech_samples += len(run.samples)
        return run


def answered(
    *spans: tuple[float, float], consumed: float = 0.0, words: Sequence[WindowWord] = ()
) -> WindowResult:
    """Return segments of a window between seconds of it; the last one has the words."""
    segments = [
        WindowSegment(*span, f" {number}", (str(number),)) for number, span in enumerate(spans)
    ]
    if words:
        text = "".join(word.text for word in words)
        segments[-1] = WindowSegment(*spans[-1], text, ("1",), tuple(words))
    return WindowResult(tuple(segments), round(consumed * 100), "en", 1.0, 0.0, -0.1, 0.0, 1.0)


def nothing(placed: PlacedWindow) -> WindowResult:
    """Answer that a window was read to its end and has no words."""
    return answered(consumed=placed.window.seconds)
