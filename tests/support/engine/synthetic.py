"""Audio that is made here: enough like speech for the detector, without words for anyone."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

RATE = 16_000
Samples = NDArray[np.int16]

# First three formants of five vowels in Hz (Peterson and Barney, 1952, men).
VOWELS = (
    (730, 1090, 2440),
    (270, 2290, 3010),
    (300, 870, 2240),
    (530, 1840, 2480),
    (570, 840, 2410),
)


def babble(seconds: float, seed: int = 0) -> Samples:
    """Four syllables a second: a buzzing source through the formants of changing vowels.

    They rise from silence and fall back, which is what makes the detector sure of them.
    """
    rng = np.random.default_rng(seed)
    syllables = []
    for _ in range(int(np.ceil(seconds * 4))):
        time = np.arange(RATE // 4) / RATE
        pitch = rng.uniform(90, 220) * (1 + 0.05 * np.sin(2 * np.pi * 3 * time))
        phase = 2 * np.pi * np.cumsum(pitch) / RATE
        vowel = VOWELS[rng.integers(len(VOWELS))]
        tone = np.zeros_like(time)
        for harmonic in range(1, 30):
            frequency = harmonic * pitch.mean()
            gain = sum(1 / (1 + ((frequency - formant) / 90) ** 2) for formant in vowel)
            tone += gain / np.sqrt(harmonic) * np.sin(harmonic * phase)
        syllables.append(tone * np.sin(np.pi * time * 4))
    voice = np.concatenate(syllables)[: int(seconds * RATE)]
    voice = 0.3 * voice / np.abs(voice).max() + rng.normal(0, 0.003, len(voice))
    samples: Samples = (voice * 32767).clip(-32768, 32767).astype(np.int16)
    return samples


def noise(seconds: float, seed: int = 0) -> Samples:
    """Return quiet white noise, in which nobody speaks."""
    rng = np.random.default_rng(seed)
    return (rng.normal(0, 0.003, int(seconds * RATE)) * 32767).astype(np.int16)


def talk(spans: Sequence[tuple[float, float]], seconds: float, seed: int = 0) -> Samples:
    """Return noise of a length with babble between each start and end, in seconds."""
    audio = noise(seconds, seed)
    for index, (start, end) in enumerate(spans):
        first = int(start * RATE)
        piece = babble(end - start, seed * 1000 + index)
        audio[first : first + len(piece)] = piece
    return audio


def blocks(audio: Samples, length: int = RATE) -> Iterator[Samples]:
    """Yield audio as a decoder does, in blocks of `length` samples."""
    for start in range(0, len(audio), length):
        yield audio[start : start + length]
