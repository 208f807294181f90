"""Log-mel features, as faster-whisper computes them, and the windows that have them."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor
from numpy.typing import NDArray

from whisperfleet.engine.interface import (
    EDGE_SAMPLES,
    FRAMES_PER_SECOND,
    SAMPLES_PER_FRAME,
    Window,
    WindowRequest,
)
from whisperfleet.pages import empty_outside_heap

__all__ = ["MelWindow", "compute_features"]

# A frame's spectrum is of the 25 ms around its middle (arXiv:2212.04356, 2.2).
_FFT = 2 * EDGE_SAMPLES
_SHAPE = np.hanning(_FFT + 1)[:-1].astype(np.float32)
# What lies 80 dB under the loudest is silence to the model.
_RANGE = 8.0
# Spectra are taken of so many frames at a time: 3 s make three blocks of 0.5 MB, 30 s would make
# blocks of 5 MB, which the heap has to be longer for.
_FRAMES_AT_ONCE = 300


@dataclass(frozen=True, slots=True, eq=False)
class MelWindow:
    """A window as the encoder takes it.

    `features` is float32 of shape (mels, frames), frames <= 3000, not padded; `previous_tokens` is
    the text before it, oldest first; `loudest` the loudest frame of the audio up to here, as the
    decadic logarithm of its power. All else is the `Window`'s.
    """

    features: NDArray[np.float32]
    request: WindowRequest
    language: str | None = None
    previous_tokens: tuple[int, ...] = ()
    last_speech_end: float = 0.0
    seams: tuple[float, ...] = ()
    loudest: float = -math.inf

    @property
    def frames(self) -> int:
        """The number of mel frames with content."""
        return int(self.features.shape[-1])

    @property
    def seconds(self) -> float:
        """The length of the window's content."""
        return self.frames / FRAMES_PER_SECOND


def compute_features(window: Window, mels: int) -> tuple[NDArray[np.float32], float]:
    """Return the features of a window, shape (mels, window.frames), and the loudest frame so far.

    They are the numbers that the library has for a chunk of its batched pipeline, or for the same
    part of a longer audio. There it raises what lies 80 dB under the whole audio's loudest frame. A
    stream cannot know the loudest frame to come, so here it is the loudest so far: quiet parts
    before it keep more detail, everything else is the same.
    """
    before = -math.inf if window.carry is None else float(window.carry)
    if not window.frames:
        return np.empty((mels, 0), np.float32), before
    log_mel = _log_mel(_with_edges(window), _filters(mels))
    loudest = max(before, float(log_mel.max()))
    return _scale(log_mel, loudest)[:, : window.frames], loudest


def _with_edges(window: Window) -> NDArray[np.float32]:
    """Return samples of which the first frame's middle is `EDGE_SAMPLES` from the beginning.

    Where the audio ends there is a frame more: the library counts it for the loudest.
    """
    frames = window.frames if len(window.after) == EDGE_SAMPLES else window.frames + 1
    lead = EDGE_SAMPLES - len(window.before)
    length = len(window.before) + (frames - 1) * SAMPLES_PER_FRAME + EDGE_SAMPLES
    samples = np.concatenate([window.before, window.samples, window.after])[:length]
    samples = np.pad(samples, (0, length - len(samples)))
    return np.pad(samples, (lead, 0), mode="reflect") if lead else samples


def _log_mel(samples: NDArray[np.float32], filters: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the decadic logarithm of the power in each band, shape (bands, frames)."""
    frames = 1 + (len(samples) - _FFT) // SAMPLES_PER_FRAME
    power = empty_outside_heap((frames, _FFT // 2 + 1), np.float32)
    for first in range(0, frames, _FRAMES_AT_ONCE):
        last = min(first + _FRAMES_AT_ONCE, frames)
        spectrum = FeatureExtractor.stft(
            samples[first * SAMPLES_PER_FRAME : (last - 1) * SAMPLES_PER_FRAME + _FFT],
            _FFT,
            SAMPLES_PER_FRAME,
            window=_SHAPE,
            center=False,
            return_complex=True,
        )
        np.square(np.abs(spectrum.astype(np.complex64, copy=False)).T, out=power[first:last])
    log_mel = empty_outside_heap((len(filters), frames), np.float32)
    # One product of all frames: in parts its last bits would differ from the library's.
    np.matmul(filters, power.T, out=log_mel)
    np.clip(log_mel, 1e-10, None, out=log_mel)
    return np.log10(log_mel, out=log_mel)


def _scale(log_mel: NDArray[np.float32], loudest: float) -> NDArray[np.float32]:
    """Bring what `_log_mel` returned into the model's range, in place."""
    np.maximum(log_mel, loudest - _RANGE, out=log_mel)
    log_mel += 4.0
    log_mel /= 4.0
    return log_mel


@lru_cache
def _filters(mels: int) -> NDArray[np.float32]:
    filters: NDArray[np.float32] = FeatureExtractor(feature_size=mels).mel_filters
    return filters
