"""Where there is speech in some audio, as faster-whisper (here: the library) finds it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
from numpy.typing import NDArray

from whisperfleet.engine.interface import SAMPLE_RATE
from whisperfleet.segmentation.pcm import to_float
from whisperfleet.segmentation.vad_model import vad_session

__all__ = ["STEP", "Heard", "Span", "VadOptions", "find_speech", "hear", "speech_chances", "within"]

# The samples of the detector's step: it gives a chance of speech for each.
STEP = 512

# The detector is asked about so many steps at a time, 5 s: each second of audio takes it 0.13 MB in
# one block, and a minute at once would take a part of the heap that nothing else fills (ADR 18).
_STEPS_AT_ONCE = 5 * SAMPLE_RATE // STEP
# The samples before a step that it looks at too, and what it keeps from one step for the next.
_CONTEXT = 64
_STATE = (1, 1, 128)

# Within a run the detector tells so short pauses, which cut nothing, from speech: at them cues end.
_SHORT_PAUSE_MS = 160

# Speech whose low tones a telephone has cut off is worth about half the threshold to the detector,
# and noises less than a fifth of it, or for moments (ADR 10).
_FAINT = 0.4
_LEAST_FAINT = 0.2
_FAINT_QUIET = 0.7
_FAINT_SAMPLES = SAMPLE_RATE

# From where to where there is speech, in order.
Heard = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class VadOptions:
    """What counts as speech; names and defaults are the library's.

    Speech begins where its chance is at least `threshold`, and ends where that stays under
    `neg_threshold` for `min_silence_duration_ms`; None stands for 0.15 less than `threshold`. What
    is no longer than `min_speech_duration_ms` is left out. `speech_pad_ms` is kept around speech.
    """

    threshold: float = 0.5
    neg_threshold: float | None = None
    min_speech_duration_ms: int = 0
    min_silence_duration_ms: int = 2000
    speech_pad_ms: int = 400


@dataclass(frozen=True, slots=True)
class Span:
    """Speech from sample `start` to `end` of some audio.

    `heard` and `joined` are those of `Speech`.
    """

    start: int
    end: int
    heard: Heard
    joined: bool = False

    def cut(self, start: int, end: int) -> "Span":
        """Return the part between two samples that are not outside."""
        return replace(self, start=start, end=end, heard=within(self.heard, start, end))


def within(heard: Heard, start: int, end: int) -> Heard:
    """Return what of the speech lies between two samples."""
    return tuple((max(start, a), min(end, b)) for a, b in heard if a < end and b > start)


def hear(samples: NDArray[np.int16], vad: VadOptions) -> list[Span]:
    """Return where there is speech in mono audio at 16 kHz, without padding."""
    if not len(samples):
        return []
    return find_speech(speech_chances(samples), vad, len(samples))


def speech_chances(samples: NDArray[np.int16]) -> list[float]:
    """Return the chance of speech in each step of mono audio at 16 kHz.

    The same numbers as from the library, which asks for all steps at once. Its model takes whole
    steps, and there is always one that is not full.
    """
    steps = len(samples) // STEP + 1
    session = vad_session()
    hidden = cell = np.zeros(_STATE, np.float32)
    chances: list[float] = []
    for first in range(0, steps, _STEPS_AT_ONCE):
        count = min(_STEPS_AT_ONCE, steps - first)
        chunk = _with_context(samples, first, count)
        if first + count == steps:
            # So does the library, by its way of making the context of what follows.
            chunk[-1, -_CONTEXT:] = 0
        found, hidden, cell = session.run(None, {"input": chunk, "h": hidden, "c": cell})
        chances += np.ravel(found).tolist()
    return chances


def _with_context(samples: NDArray[np.int16], first: int, count: int) -> NDArray[np.float32]:
    """Return steps from `first` on, each behind the end of the one before it."""
    begin, end = first * STEP - _CONTEXT, (first + count) * STEP
    audio = np.zeros(end - begin, np.float32)
    known = samples[max(0, begin) : end]
    audio[max(0, -begin) :][: len(known)] = to_float(known)
    return np.lib.stride_tricks.sliding_window_view(audio, _CONTEXT + STEP)[::STEP].copy()


def find_speech(chances: Sequence[float], vad: VadOptions, length: int) -> list[Span]:
    """Return the spans of speech in `length` samples, by the chance of speech in each step.

    They are the library's, and what it is less sure of where that lasts.
    """
    sure = _spans(chances, vad, length)
    faint = max(vad.threshold * _FAINT, _LEAST_FAINT)
    if faint >= vad.threshold:
        return sure
    unsure = replace(vad, threshold=faint, neg_threshold=faint * _FAINT_QUIET)
    lasting = [
        span
        for span in _spans(chances, unsure, length)
        if _longest_without(span, sure) > _FAINT_SAMPLES
    ]
    apart = [
        one
        for one in sure
        if not any(one.start < whole.end and whole.start < one.end for whole in lasting)
    ]
    return sorted((*apart, *lasting), key=lambda span: span.start)


def _spans(chances: Sequence[float], vad: VadOptions, length: int) -> list[Span]:
    pause_ms = vad.min_silence_duration_ms
    heard = _sounds(chances, vad, min(pause_ms, _SHORT_PAUSE_MS), length)
    least = vad.min_speech_duration_ms * SAMPLE_RATE // 1000
    return [
        Span(onset, offset, within(heard, onset, offset))
        for onset, offset in _sounds(chances, vad, pause_ms, length)
        if offset - onset > least
    ]


def _longest_without(span: Span, others: Sequence[Span]) -> int:
    """Return the longest stretch of a span, in samples, that none of the others covers."""
    edges = [
        edge
        for one in others
        if one.start < span.end and span.start < one.end
        for edge in (one.start, one.end)
    ]
    bounds = (span.start, *edges, span.end)
    return max(after - before for before, after in zip(bounds[::2], bounds[1::2], strict=True))


def _sounds(chances: Sequence[float], vad: VadOptions, pause_ms: int, length: int) -> Heard:
    """Return where there is speech that pauses of `pause_ms` or more divide.

    The rule is that of the library's `get_speech_timestamps`, which asks its model anew for each
    length of pause: speech begins with a step whose chance is at least the threshold, and has ended
    when a step is quiet so long after the first quiet one.
    """
    quiet = vad.neg_threshold
    if quiet is None:
        quiet = max(vad.threshold - 0.15, 0.01)
    found: list[tuple[int, int]] = []
    onset = offset = -1
    for at, chance in zip(count(0, STEP), chances):
        if chance >= vad.threshold:
            onset, offset = (at if onset < 0 else onset), -1
        elif chance < quiet and onset >= 0:
            offset = at if offset < 0 else offset
            if at - offset >= pause_ms * SAMPLE_RATE / 1000:
                found.append((onset, offset))
                onset = offset = -1
    return (*found, (onset, length)) if onset >= 0 else tuple(found)
