"""Where there is speech in a stream of audio, with a bounded part of it in memory."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from whisperfleet.engine.interface import SAMPLE_RATE
from whisperfleet.pages import concatenate_outside_heap
from whisperfleet.segmentation.detector import STEP, Heard, Span, VadOptions, hear, within

__all__ = ["BUFFER_SECONDS", "Speech", "SpeechReader"]

# The detector looks at this much audio at once. It must hold the longest window and the pauses
# around it; what fits in it whole is cut exactly as the library would, but for faint speech.
BUFFER_SECONDS = 60

# Audio before an onset that the detector reads again, so that its state has settled by then.
_LEAD_IN = SAMPLE_RATE
# An unfinished span that begins before this point of the buffer is cut, or the next look at the
# audio would gain too little.
_OVERFULL = BUFFER_SECONDS * SAMPLE_RATE // 4

# Where pauses are kept: a longer one is a piece of its own but for so much at its ends, a shorter
# one is cut where it is quietest over the length of a closed consonant.
_LONG_PAUSE = 3 * SAMPLE_RATE
_KEPT_OF_LONG_PAUSE = SAMPLE_RATE
_QUIET = SAMPLE_RATE // 20

Samples = NDArray[np.int16]


@dataclass(frozen=True, slots=True, eq=False)
class Speech:
    """A run of samples that begins at sample `start` of the file.

    `heard` are the samples of the file between which the detector hears speech; the rest is padding
    and short pauses, and all of it where there are none. `joined`: the run goes on where the one
    before it was cut, without a pause between.
    """

    start: int
    samples: Samples
    heard: Heard
    joined: bool = False

    @property
    def end(self) -> int:
        """The sample of the file after the last of the run."""
        return self.start + len(self.samples)

    def part(self, start: int, end: int) -> "Speech":
        """Return the part between two samples of the file that lie within the run."""
        return Speech(
            start,
            self.samples[start - self.start : end - self.start],
            within(self.heard, start, end),
            self.joined if start == self.start else True,
        )


class SpeechReader:
    """The runs of speech in a stream of blocks, in order and without overlap.

    Each block is mono int16 at 16 kHz. Pauses of `vad.min_silence_duration_ms` or more divide the
    runs; they are left out but for the padding, or with `keep_pauses` divided among the runs, so
    that nothing is left out. A long run comes in parts that are `joined`. Can be read once.
    """

    def __init__(
        self, blocks: Iterable[Samples], vad: VadOptions, *, keep_pauses: bool = False
    ) -> None:
        self.decoded_samples = 0
        self.speech_samples = 0
        divide = _divide_at_pauses if keep_pauses else _find_speech
        self._spans = divide(self._count(blocks), vad)

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
    """The part of a stream that is being looked at; its spans are in samples from its start."""

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
        self.samples = concatenate_outside_heap(parts)
        return held >= length

    def take(self, span: Span) -> Speech:
        """Return a copy of a part of the buffer, so that the rest can be forgotten."""
        return Speech(
            self.start + span.start,
            concatenate_outside_heap([self.samples[span.start : span.end]]),
            tuple((self.start + a, self.start + b) for a, b in span.heard),
            span.joined,
        )

    def forget(self, before: int) -> None:
        """Drop what lies before a position of the buffer."""
        self.samples = concatenate_outside_heap([self.samples[before:]])
        self.start += before


def _pad(spans: list[Span], padding: int, length: int) -> list[Span]:
    """Return spans with `padding` samples around them, as the library pads.

    Two spans whose pause is shorter than two paddings share it.
    """
    starts = [span.start for span in spans]
    ends = [span.end for span in spans]
    for index, (before, after) in enumerate(pairwise(spans)):
        own = min(padding, (after.start - before.end) // 2)
        ends[index] += own
        starts[index + 1] -= own
    if spans:
        starts[0] = max(0, starts[0] - padding)
        ends[-1] = min(length, ends[-1] + padding)
    return list(map(Span, starts, ends, (span.heard for span in spans)))


def _find_speech(blocks: Iterator[Samples], vad: VadOptions) -> Iterator[Speech]:
    buffer = _Buffer(blocks)
    settled = _Settled([], 0)
    taken = 0
    more = True
    while more:
        more = buffer.fill(BUFFER_SECONDS * SAMPLE_RATE)
        spans = _detect(buffer.samples, vad, first=taken - buffer.start, goes_on=settled.cut_open)
        settled = _settle(spans, len(buffer.samples), vad) if more else _Settled(spans, 0)
        for span in settled.spans:
            taken = buffer.start + span.end
            yield buffer.take(span)
        # By whole steps of the detector, so that borders fall as if the file were read at once.
        buffer.forget(settled.keep_from // STEP * STEP)


def _detect(samples: Samples, vad: VadOptions, *, first: int, goes_on: bool) -> list[Span]:
    """Return the padded spans of speech that are not yet taken, so from `first` on.

    `goes_on`: speech was cut at `first`.
    """
    padding = vad.speech_pad_ms * SAMPLE_RATE // 1000
    spans = [
        span.cut(max(first, span.start), span.end)
        for span in _pad(hear(samples, vad), padding, len(samples))
        if span.end > first
    ]
    # The detector begins without memory, and may miss the first frames of speech that was cut.
    if goes_on and spans and spans[0].start <= first + _LEAD_IN:
        (_, offset), *others = spans[0].heard or ((first, first),)
        spans[0] = replace(spans[0], start=first, heard=((first, offset), *others), joined=True)
    return spans


@dataclass(frozen=True, slots=True)
class _Settled:
    """What more audio will not change, and from where the buffer must be kept."""

    spans: list[Span]
    keep_from: int
    cut_open: bool = False


def _settle(spans: list[Span], length: int, vad: VadOptions) -> _Settled:
    """Divide the spans of a buffer of `length` samples that more audio follows."""
    recent = length - _LEAD_IN
    if not spans:
        return _Settled([], recent)
    *earlier, last = spans
    # A span's padding reaches at most halfway to the next span. So its end stands once it is
    # followed by as much silence as two paddings; one of them it already holds.
    if last.end + vad.speech_pad_ms * SAMPLE_RATE // 1000 <= length:
        return _Settled(spans, max(last.end, recent))
    if not earlier and last.start < _OVERFULL:
        return _Settled([last.cut(last.start, recent)], recent, cut_open=True)
    previous_end = earlier[-1].end if earlier else 0
    return _Settled(earlier, max(previous_end, last.start - _LEAD_IN))


def _divide_at_pauses(blocks: Iterator[Samples], vad: VadOptions) -> Iterator[Speech]:
    buffer = _Buffer(blocks)
    joined = False
    more = True
    while more:
        more = buffer.fill(BUFFER_SECONDS * SAMPLE_RATE)
        length = len(buffer.samples)
        spans = hear(buffer.samples, vad)
        heard = tuple(sound for span in spans for sound in span.heard)
        # What is near the end may look otherwise once there is more audio.
        certain = length - _LEAD_IN if more else length
        cuts = [cut for cut in _quiet_points(buffer.samples, spans) if 0 < cut <= certain]
        cut_open = more and not cuts
        if not more or not cuts:
            cuts.append(certain)
        for start, end in pairwise([0, *cuts]):
            if end > start:
                yield buffer.take(
                    Span(start, end, within(heard, start, end), joined=joined and not start)
                )
        joined = cut_open
        buffer.forget(cuts[-1])


def _quiet_points(samples: Samples, spans: list[Span]) -> list[int]:
    """Return where to divide audio so that no word is cut: in its pauses."""
    points = []
    bounds = [0, *(edge for span in spans for edge in (span.start, span.end)), len(samples)]
    for offset, onset in zip(bounds[::2], bounds[1::2], strict=True):
        if onset - offset > _LONG_PAUSE:
            points += [offset + _KEPT_OF_LONG_PAUSE] if offset else []
            points += [onset - _KEPT_OF_LONG_PAUSE]
        elif offset and onset < len(samples):
            points.append(_quietest(samples, offset, onset))
    return points


def _quietest(samples: Samples, start: int, end: int) -> int:
    """Return the middle of the quietest twentieth of a second between two positions."""
    energy = np.cumsum(np.square(samples[start:end].astype(np.int64)))
    if len(energy) <= _QUIET:
        return (start + end) // 2
    return start + int(np.argmin(energy[_QUIET:] - energy[:-_QUIET])) + _QUIET // 2
