"""Log-mel features, as faster-whisper computes them."""

from functools import lru_cache

import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor
from numpy.typing import NDArray

from whisperfleet.engine.interface import SAMPLE_RATE

__all__ = ["HALF_WINDOW", "HOP", "RunningLogMel", "compute_features", "to_float"]

# A frame each 10 ms from 25 ms of audio around it (arXiv:2212.04356, 2.2).
HOP = SAMPLE_RATE // 100
_FFT = SAMPLE_RATE // 40
HALF_WINDOW = _FFT // 2
# What lies 80 dB under the loudest is silence to the model.
_RANGE = 8.0


def to_float(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """Return samples in [-1, 1), exactly as `faster_whisper.decode_audio` gives them."""
    return samples.astype(np.float32) / np.float32(32768)


def compute_features(samples: NDArray[np.int16], mels: int) -> NDArray[np.float32]:
    """Return the features of audio that stands for itself, shape (mels, len(samples) // 160).

    The same numbers as the library's batched pipeline has for a chunk.
    """
    features: NDArray[np.float32] = _extractor(mels)(to_float(samples))[..., :-1]
    return features


class RunningLogMel:
    """The features of one long audio, computed window by window.

    The library computes the features of a whole file at once and raises what lies 80 dB under the
    file's loudest frame. A stream cannot know the loudest frame to come, so here it is the loudest
    so far: quiet parts before it keep more detail, everything else is the same.
    """

    def __init__(self, mels: int) -> None:
        self._filters: NDArray[np.float32] = _extractor(mels).mel_filters
        self._loudest = -np.inf

    def compute(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the frames of audio that comes with its context, shape (mels, frames).

        The first frame's middle is `HALF_WINDOW` samples in, the last one's at least as many before
        the end.
        """
        spectrum = FeatureExtractor.stft(
            samples,
            _FFT,
            HOP,
            window=np.hanning(_FFT + 1)[:-1].astype(np.float32),
            center=False,
            return_complex=True,
        )
        power = np.abs(spectrum.astype(np.complex64)) ** 2
        log_mel = np.log10(np.clip(self._filters @ power, 1e-10, None))
        self._loudest = max(self._loudest, float(log_mel.max()))
        features: NDArray[np.float32] = (np.maximum(log_mel, self._loudest - _RANGE) + 4.0) / 4.0
        return features


@lru_cache
def _extractor(mels: int) -> FeatureExtractor:
    # An extractor changes only when it is called with a `chunk_length`, which nothing here does: so
    # threads may share one.
    return FeatureExtractor(feature_size=mels)
