"""Windows that need nothing of one another: what the detector found, packed."""

from collections.abc import Iterator

import numpy as np

from whisperfleet.cutting.clock import Clock, Piece
from whisperfleet.cutting.cutter import UNBOUNDED, Cut
from whisperfleet.cutting.features import compute_features
from whisperfleet.cutting.speech import Speech, SpeechReader
from whisperfleet.engine.seam import SAMPLE_RATE, Window, WindowRequest, WindowResult

__all__ = ["ParallelCutter"]


class ParallelCutter:
    """Packs spans of speech, pauses left out, into windows of at most `max_window_seconds`.

    No span of `reader` may be longer than that. The prompt of the job precedes each window. Windows
    may be answered in any number and at any time once the language is known; where it is to be
    detected, the first window's answer gives it.
    """

    def __init__(
        self, reader: SpeechReader, request: WindowRequest, max_window_seconds: float, mels: int
    ) -> None:
        self._reader = reader
        self._request = request
        self._mels = mels
        self._windows = _pack(reader, int(max_window_seconds * SAMPLE_RATE))
        self._language = request.language

    @property
    def lookahead(self) -> int:
        """One window until the language is known, then as many as the caller wants."""
        return 1 if self._language is None else UNBOUNDED

    @property
    def language(self) -> str | None:
        """The language of the job, once it is known."""
        return self._language

    @property
    def duration(self) -> float:
        """The seconds that were decoded so far."""
        return self._reader.decoded_samples / SAMPLE_RATE

    @property
    def duration_after_vad(self) -> float:
        """The seconds of them that were taken for speech."""
        return self._reader.speech_samples / SAMPLE_RATE

    def next(self, previous: WindowResult | None) -> Cut | None:
        """Return the next window, or None after the last."""
        if self._language is None and previous is not None:
            self._language = previous.language
        spans = next(self._windows, None)
        if spans is None:
            return None
        samples = np.concatenate([span.samples for span in spans])
        return Cut(
            Window(compute_features(samples, self._mels), self._request, self._language),
            Clock(tuple(Piece(span.start, len(span.samples)) for span in spans)),
        )


def _pack(spans: Iterator[Speech], capacity: int) -> Iterator[list[Speech]]:
    """Yield runs of spans, each as long as fits into `capacity` samples."""
    packed: list[Speech] = []
    held = 0
    for span in spans:
        if packed and held + len(span.samples) > capacity:
            yield packed
            packed, held = [], 0
        packed.append(span)
        held += len(span.samples)
    if packed:
        yield packed
