"""Mel spectra as powers, the domain in which sounds are mixed: powers add, logarithms do not."""

from typing import Final

import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor
from numpy.typing import NDArray

from hack.demo_model.speech import SAMPLE_RATE

FRAMES_PER_SECOND: Final = 100
FRAMES_PER_POSITION: Final = 2
SECONDS_PER_POSITION: Final = FRAMES_PER_POSITION / FRAMES_PER_SECOND

LOWEST_LOG_POWER: Final = -10.0
_DYNAMIC_RANGE: Final = 8.0
_NOISE_SECONDS: Final = 60

Spectrum = NDArray[np.float32]

_extractor = FeatureExtractor(feature_size=80)


def log_power(samples: NDArray[np.float32]) -> Spectrum:
    """Return the decimal logarithm of the mel powers, shape (frames, 80), as Whisper does."""
    window = np.hanning(_extractor.n_fft + 1)[:-1].astype(np.float32)
    padded = np.pad(samples, (0, _extractor.hop_length))
    transform = _extractor.stft(
        padded, _extractor.n_fft, _extractor.hop_length, window=window, return_complex=True
    )
    powers = _extractor.mel_filters @ (np.abs(transform[:, :-1]) ** 2)
    log_powers = np.log10(np.maximum(powers, 10**LOWEST_LOG_POWER)).T
    return np.asarray(log_powers, np.float32)


def normalise(log_powers: Spectrum, loudest: float) -> Spectrum:
    """Return features as Whisper's: eight decades below the file's loudest, then scaled."""
    floor = np.float32(loudest - _DYNAMIC_RANGE)
    return (np.maximum(log_powers, floor) + np.float32(4)) / np.float32(4)


def noises() -> dict[str, Spectrum]:
    """Return a minute of each noise as log powers at a root mean square of 1.0."""
    rng = np.random.default_rng(0)
    count = _NOISE_SECONDS * SAMPLE_RATE
    return {kind: log_power(noise(kind, count, rng)) for kind in ("white", "pink", "brown", "hum")}


def noise(kind: str, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return noise of a root mean square of 1.0; hum is a mains tone of 50 Hz with overtones."""
    white = rng.standard_normal(count)
    if kind == "hum":
        time = np.arange(count) / SAMPLE_RATE
        tones = [
            rng.random() * np.sin(2 * np.pi * 50 * overtone * time + rng.uniform(0, 2 * np.pi))
            for overtone in range(1, 12)
        ]
        sound = np.sum(tones, axis=0)
        sound = sound / sound.std() + 0.05 * white
    else:
        # Power falls with the frequency to the power of 0, 1 or 2.
        exponent = {"white": 0, "pink": 1, "brown": 2}[kind]
        frequencies = np.maximum(np.fft.rfftfreq(count, 1 / SAMPLE_RATE), 20)
        sound = np.fft.irfft(np.fft.rfft(white) / frequencies ** (exponent / 2), count)
    return np.asarray(sound / sound.std(), np.float32)
