"""Log-mel features, as faster-whisper computes them."""

from functools import lru_cache

import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor
from numpy.typing import NDArray

from whisperfleet.engine.interface import SAMPLE_RATE
from whisperfleet.pages import empty_outside_heap

__all__ = ["HALF_WINDOW", "HOP", "RunningLogMel", "compute_features", "to_float"]

# A frame each 10 ms from 25 ms of audio around it (arXiv:2212.04356, 2.2).
HOP = SAMPLE_RATE // 100
_FFT = SAMPLE_RATE // 40
HALF_WINDOW = _FFT // 2
_WINDOW = np.hanning(_FFT + 1)[:-1].astype(np.float32)
# What lies 80 dB under the loudest is silence to the model.
_RANGE = 8.0
# Spectra are taken of so many frames at a time: 3 s make three blocks of 0.5 MB, 30 s would make
# blocks of 5 MB, which the heap has to be longer for.
_FRAMES_AT_ONCE = 300


def to_float(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """Return samples in [-1, 1), exactly as `faster_whisper.decode_audio` gives them."""
    return samples.astype(np.float32) / np.float32(32768)


def compute_features(samples: NDArray[np.int16], mels: int) -> NDArray[np.float32]:
    """Return the features of audio that stands for itself, shape (mels, len(samples) // 160).

    The same numbers as the library's batched pipeline has for a chunk.
    """
    padded = np.pad(to_float(samples), (0, HOP))
    with_context = np.pad(padded, HALF_WINDOW, mode="reflect")
    # The frame at the very end counts for the loudest, and is left out.
    frames = len(samples) // HOP
    log_mel = _log_mel(with_context[: frames * HOP + _FFT], _filters(mels))
    return _scale(log_mel, float(log_mel.max()))[:, :frames]


class RunningLogMel:
    """The features of one long audio, computed window by window.

    The library computes the features of a whole file at once and raises what lies 80 dB under the
    file's loudest frame. A stream cannot know the loudest frame to come, so here it is the loudest
    so far: quiet parts before it keep more detail, everything else is the same.
    """

    def __init__(self, mels: int) -> None:
        self._filters = _filters(mels)
        self._loudest = -np.inf

    def compute(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the frames of audio that comes with its context, shape (mels, frames).

        The first frame's middle is `HALF_WINDOW` samples in, the last one's at least as many before
        the end.
        """
        log_mel = _log_mel(samples, self._filters)
        self._loudest = max(self._loudest, float(log_mel.max()))
        return _scale(log_mel, self._loudest)


def _log_mel(samples: NDArray[np.float32], filters: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the logarithm of the power in each band, shape (bands, frames)."""
    frames = 1 + (len(samples) - _FFT) // HOP
    power = empty_outside_heap((frames, _FFT // 2 + 1), np.float32)
    for first in range(0, frames, _FRAMES_AT_ONCE):
        last = min(first + _FRAMES_AT_ONCE, frames)
        spectrum = FeatureExtractor.stft(
            samples[first * HOP : (last - 1) * HOP + _FFT],
            _FFT,
            HOP,
            window=_WINDOW,
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
