"""Where there is speech in a stream of audio, with a bounded part of it in memory."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from faster_whisper.vad import VadOptions, get_speech_timestamps
from numpy.typing import NDArray

from whisperfleet.cutting.features import to_float
from whisperfleet.engine.seam import SAMPLE_RATE

__all__ = ["BUFFER_SECONDS", "Speech", "SpeechReader", "VadOptions"]

# The detector looks at this much audio at once. It must hold the longest window and the pauses
# around it; what fits in it whole is cut exactly as the library would.
BUFFER_SECONDS = 60

# The detector's step. The buffer moves by whole steps, so that borders fall where they would if the
# file were read at once.
_STEP = 512

# Audio before an onset that the detector reads again, so that its state has settled by then.
_LEAD_IN = SAMPLE_RATE
# An unfinished span that begins before this point of the buffer is cut, or the next look at the
# audio would gain too little. Spans of at most 30 s never are.
_OVERFULL = BUFFER_SECONDS * SAMPLE_RATE // 4

Samples = NDArray[np.int16]


@dataclass(frozen=True, slots=True, eq=False)
class Speech:
    """A run of samples that begins at sample `start` of the file."""

    start: int
    samples: Samples

    @property
    def end(self) -> int:
        """The sample of the file after the last of the run."""
        return self.start + len(self.samples)


class SpeechReader:
    """The spans of speech in a stream of blocks, in order and without overlap.

    Each block is mono int16 at 16 kHz. Without `vad` everything is speech, in pieces of
    `piece_seconds`. A long span may come in pieces that touch. Can be read once.
    """

    def __init__(
        self, blocks: Iterable[Samples], vad: VadOptions | None, piece_seconds: float
    ) -> None:
        self.decoded_samples = 0
        self.speech_samples = 0
        counted = self._count(blocks)
        self._spans = (
            _split_evenly(counted, int(piece_seconds * SAMPLE_RATE))
            if vad is None
            else _find_speech(counted, vad)
        )

    def __iter__(self) -> Iterator[Speech]:
        return self

    def __next__(self) -> Speech:
        span = next(self._spans)
        self.speech_samples += len(span.samples)
        return span

    def _count(self, blocks: Iterable[Samples]) -> Iterator[Samples]:
        for block in blocks:
            self.decoded_samples += len(block)
            yield block


class _Buffer:
    """The part of a stream that is being looked at."""

    def __init__(self, blocks: Iterator[Samples]) -> None:
        self.start = 0
        self.samples: Samples = np.empty(0, np.int16)
        self._blocks = blocks

    def fill(self, length: int) -> bool:
        """Read until the buffer holds `length` samples; say whether it does."""
        parts, held = [self.samples], len(self.samples)
        while held < length:
            block = next(self._blocks, None)
            if block is None:
                break
            parts.append(block)
            held += len(block)
        self.samples = np.concatenate(parts)
        return held >= length

    def take(self, start: int, end: int) -> Speech:
        """Return a copy of a part of the buffer, so that the rest can be forgotten."""
        return Speech(self.start + start, self.samples[start:end].copy())

    def forget(self, before: int) -> None:
        """Drop what lies before a position of the buffer."""
        self.samples = self.samples[before:].copy()
        self.start += before


def _split_evenly(blocks: Iterator[Samples], piece: int) -> Iterator[Speech]:
    buffer = _Buffer(blocks)
    while buffer.fill(piece):
        yield buffer.take(0, piece)
        buffer.forget(piece)
    if len(buffer.samples):
        yield buffer.take(0, len(buffer.samples))


def _find_speech(blocks: Iterator[Samples], vad: VadOptions) -> Iterator[Speech]:
    buffer = _Buffer(blocks)
    settled = _Settled([], 0)
    taken = 0
    more = True
    while more:
        more = buffer.fill(BUFFER_SECONDS * SAMPLE_RATE)
        spans = _detect(buffer.samples, vad, first=taken - buffer.start, goes_on=settled.cut_open)
        settled = _settle(spans, len(buffer.samples), vad) if more else _Settled(spans, 0)
        for start, end in settled.spans:
            taken = buffer.start + end
            yield buffer.take(start, end)
        buffer.forget(settled.keep_from // _STEP * _STEP)


def _detect(
    samples: Samples, vad: VadOptions, *, first: int, goes_on: bool
) -> list[tuple[int, int]]:
    """Return the padded spans of speech that are not yet taken, so from `first` on.

    `goes_on`: speech was cut at `first`.
    """
    if not len(samples):
        return []
    found = get_speech_timestamps(to_float(samples), vad)
    spans = [(max(first, one["start"]), one["end"]) for one in found if one["end"] > first]
    # The detector begins without memory, and may miss the first frames of speech that was cut.
    if goes_on and spans and spans[0][0] <= first + _LEAD_IN:
        spans[0] = (first, spans[0][1])
    return spans


@dataclass(frozen=True, slots=True)
class _Settled:
    """What more audio will not change, and from where the buffer must be kept."""

    spans: list[tuple[int, int]]
    keep_from: int
    cut_open: bool = False


def _settle(spans: list[tuple[int, int]], length: int, vad: VadOptions) -> _Settled:
    """Divide the spans of a buffer of `length` samples that more audio follows."""
    recent = length - _LEAD_IN
    if not spans:
        return _Settled([], recent)
    *earlier, (start, end) = spans
    # A span's padding reaches at most halfway to the next span. So its end stands once it is
    # followed by as much silence as two paddings; one of them it already holds.
    if end + vad.speech_pad_ms * SAMPLE_RATE // 1000 <= length:
        return _Settled(spans, max(end, recent))
    if not earlier and start < _OVERFULL:
        return _Settled([(start, recent)], recent, cut_open=True)
    previous_end = earlier[-1][1] if earlier else 0
    return _Settled(earlier, max(previous_end, start - _LEAD_IN))
