"""Sounds without a word in them, each made from a generator of random numbers."""

from typing import Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from hack.real.corpus.audio import RATE, Samples

__all__ = [
    "breathing",
    "chords",
    "clicks",
    "coloured",
    "dial_tone",
    "drums",
    "hum",
    "keypad",
    "melody",
    "modulated",
    "sweep",
    "wind",
]

_KEYPAD_ROWS: Final = (697.0, 770.0, 852.0, 941.0)
_KEYPAD_COLUMNS: Final = (1209.0, 1336.0, 1477.0)
# Semitones of a major scale, and its three main chords by their steps.
_SCALE: Final = (0, 2, 4, 5, 7, 9, 11, 12)
_CHORDS: Final = ((0, 4, 7), (5, 9, 12), (7, 11, 14), (9, 12, 16))


def coloured(rng: Generator, samples: int, slope: float) -> Samples:
    """Return noise whose power falls with the frequency to `slope`: 0 white, 1 pink, 2 brown."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    frequencies = np.fft.rfftfreq(samples, 1 / RATE)
    # Below what can be heard a steep slope would leave room for nothing else.
    spectrum *= np.maximum(frequencies, 20.0) ** (-slope / 2)
    return _normal(np.fft.irfft(spectrum, samples))


def hum(rng: Generator, samples: int, frequency: float) -> Samples:
    """Return what a badly earthed cable adds: the mains and its harmonics."""
    time = _time(samples)
    total = np.zeros(samples)
    for harmonic in range(1, 12):
        phase, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 1.0) / harmonic
        total += strength * np.sin(2 * np.pi * frequency * harmonic * time + phase)
    return _normal(total + 0.01 * rng.standard_normal(samples))


def dial_tone(rng: Generator, samples: int) -> Samples:
    """Return a tone of two frequencies, held or in a rhythm, as telephone exchanges send it."""
    time = _time(samples)
    low, high = ((350.0, 440.0), (425.0, 425.0), (480.0, 620.0))[rng.integers(3)]
    tone = np.sin(2 * np.pi * low * time) + np.sin(2 * np.pi * high * time)
    period = (0.0, 0.5, 1.0, 4.0)[rng.integers(4)]
    if period:
        tone = tone * ((time % (2 * period)) < period)
    return _normal(tone)


def keypad(rng: Generator, samples: int) -> Samples:
    """Return keys of a telephone being pressed."""
    total = np.zeros(samples)
    at = int(rng.uniform(0.0, 0.3) * RATE)
    while at < samples:
        key = _time(int(rng.uniform(0.08, 0.3) * RATE))
        tone = np.sin(2 * np.pi * rng.choice(_KEYPAD_ROWS) * key)
        tone += np.sin(2 * np.pi * rng.choice(_KEYPAD_COLUMNS) * key)
        _add(total, at, tone)
        at += len(key) + int(rng.uniform(0.08, 1.0) * RATE)
    return _normal(total)


def sweep(rng: Generator, samples: int) -> Samples:
    """Return a tone that rises or falls through what can be heard."""
    first, last = rng.permutation([rng.uniform(40, 200), rng.uniform(2000, 7500)])
    frequencies = np.geomspace(first, last, samples)
    return _normal(np.sin(2 * np.pi * np.cumsum(frequencies) / RATE))


def clicks(rng: Generator, samples: int) -> Samples:
    """Return short knocks, as of keys and of a scratched record."""
    total = np.zeros(samples)
    for at in rng.integers(0, samples, max(1, int(rng.uniform(0.5, 6.0) * samples / RATE))):
        length = int(rng.uniform(0.001, 0.03) * RATE)
        fading = np.exp(-np.arange(length) / (length / 5))
        _add(total, int(at), rng.standard_normal(length) * fading)
    return _normal(total)


def chords(rng: Generator, samples: int) -> Samples:
    """Return chords that follow one another, as of an organ."""
    total = np.zeros(samples)
    root = rng.uniform(110, 220)
    length = int(rng.uniform(0.6, 2.0) * RATE)
    for at in range(0, samples, length):
        for step in _CHORDS[rng.integers(len(_CHORDS))]:
            _add(total, at, _note(root * 2 ** (step / 12), length, 0.3))
    return _normal(total)


def melody(rng: Generator, samples: int) -> Samples:
    """Return single notes, as of a plucked string."""
    total = np.zeros(samples)
    root, beat = rng.uniform(180, 440), rng.uniform(0.15, 0.5)
    at = 0
    while at < samples:
        length = int(beat * rng.choice([1, 1, 2, 4]) * RATE)
        step = _SCALE[rng.integers(len(_SCALE))]
        _add(total, at, _note(root * 2 ** (step / 12), length, 4.0))
        at += length
    return _normal(total)


def drums(rng: Generator, samples: int) -> Samples:
    """Return a beat: a low drum, a high one, cymbals."""
    total = np.zeros(samples)
    beat = int(rng.uniform(0.2, 0.4) * RATE)
    for number, at in enumerate(range(0, samples, beat)):
        time = _time(beat)
        noise = rng.standard_normal(beat)
        if number % 4 == 0:
            _add(total, at, 2 * np.sin(2 * np.pi * (50 + 80 * np.exp(-30 * time)) * time))
        if number % 4 == 2:
            _add(total, at, noise * np.exp(-18 * time))
        _add(total, at, 0.3 * np.diff(noise, append=0.0) * np.exp(-60 * time))
    return _normal(total)


def wind(rng: Generator, samples: int) -> Samples:
    """Return gusts: low noise that swells and fades."""
    return _normal(coloured(rng, samples, 1.6) * _swell(rng, samples, 0.5))


def breathing(rng: Generator, samples: int) -> Samples:
    """Return breaths: bursts of soft noise in the rhythm of sleep."""
    total = np.zeros(samples)
    at = int(rng.uniform(0.0, 1.0) * RATE)
    while at < samples:
        length = int(rng.uniform(0.6, 1.4) * RATE)
        shape = np.sin(np.pi * np.arange(length) / length) ** 2
        _add(total, at, coloured(rng, length, 0.7) * shape)
        at += length + int(rng.uniform(0.5, 2.0) * RATE)
    return _normal(total)


def modulated(rng: Generator, samples: int) -> Samples:
    """Return noise with the spectrum and the rhythm of speech and none of its words."""
    return _normal(coloured(rng, samples, 1.2) * _swell(rng, samples, 4.0) ** 2)


def _time(samples: int) -> NDArray[np.float64]:
    return np.arange(samples) / RATE


def _note(frequency: float, length: int, fading: float) -> NDArray[np.float64]:
    time = _time(length)
    harmonics = (np.sin(2 * np.pi * frequency * n * time) / n**1.5 for n in range(1, 6))
    attack = np.minimum(1.0, time / 0.01) * np.minimum(1.0, time[::-1] / 0.01)
    return np.asarray(sum(harmonics) * np.exp(-fading * time) * attack)


def _swell(rng: Generator, samples: int, per_second: float) -> NDArray[np.float64]:
    """Return a line between 0 and 1 that rises and falls so often, never quite in time."""
    points = max(4, int(samples / RATE * per_second * 2) + 2)
    heights = rng.uniform(0.05, 1.0, points)
    return np.interp(np.linspace(0, points - 1, samples), np.arange(points), heights)


def _add(total: NDArray[np.float64], at: int, sound: NDArray[np.floating]) -> None:
    end = min(len(total), at + len(sound))
    total[at:end] += sound[: end - at]


def _normal(sound: NDArray[np.floating]) -> Samples:
    loudest = np.abs(sound).max()
    return (sound / loudest if loudest else sound).astype(np.float32)
