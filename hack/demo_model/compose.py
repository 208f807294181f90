"""Composes training examples: phrases and noise laid out in a window, with what to write.

All sounds are mixed as mel powers, which costs a few milliseconds an example instead of a Fourier
transform, and lets voices be warped and stretched by interpolation.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from hack.demo_model import transcripts, vocabulary
from hack.demo_model.batch import Batch
from hack.demo_model.mel import (
    FRAMES_PER_POSITION,
    FRAMES_PER_SECOND,
    LOWEST_LOG_POWER,
    SECONDS_PER_POSITION,
    Spectrum,
    log_power,
    noises,
    normalise,
)
from hack.demo_model.model import DECODER_POSITIONS, ENCODER_POSITIONS, MELS
from hack.demo_model.speech import to_float
from hack.demo_model.synthesise import Phrase
from hack.demo_model.transcripts import Exercise, SpokenWord, View

_EMPTY_SHARE: Final = 0.06
_NOISY_SHARE: Final = 0.8
_NOISE_WEIGHTS: Final = {"white": 0.35, "pink": 0.35, "brown": 0.15, "hum": 0.15}
# A phrase's root mean square relative to its peak, about.
_SPEECH_LEVEL: Final = 0.12
# Noise below the speech, in decades of power (10 dB).
_SNR_DECADES: Final = (1.2, 5.0)
_GAIN_DECIBEL: Final = (-28, 3)
_WARP_PERCENT: Final = 8
_STRETCH: Final = (-0.1, 0.12)
_MASK_SHARE: Final = 0.25
_TIMESTAMP_SHARE: Final = 0.65
_JOIN_SHARE: Final = 0.2
_LONG_PAUSE_SHARE: Final = 0.08


@dataclass(frozen=True)
class Window:
    """A kind of example; all of a kind have the same shapes."""

    positions: int
    """Encoder positions computed, of 20 ms each."""
    batch: int
    tokens: int
    padding_samples: int = 0
    """If not 0: content fills the rest of ``positions``, and these stand for the padding.

    A file shorter than 30 s is padded to 1,500 positions. All padding sounds the same, so that a
    random few, each with the weight of many, teach the same attention at half the cost.
    """
    prompt_share: float = 0.15

    @property
    def content_positions(self) -> int:
        """Positions that can hold sound."""
        return self.positions - self.padding_samples

    @property
    def is_excerpt(self) -> bool:
        """Whether the window is shorter than Whisper's and stands at a random place in it."""
        return self.positions < ENCODER_POSITIONS and not self.padding_samples


@dataclass(frozen=True)
class _Sound:
    """A phrase of the bank, ready to be mixed."""

    spectrum: NDArray[np.float16]
    """Log powers, shape (frames, 80)."""
    words: tuple[SpokenWord, ...]

    @classmethod
    def of(cls, phrase: Phrase) -> Self:
        """Return the phrase's spectrum and words."""
        spectrum = log_power(to_float(phrase.samples))
        seconds = len(spectrum) / FRAMES_PER_SECOND
        exact = not bool(np.isnan(phrase.bounds).any())
        bounds = phrase.bounds if exact else _guess_bounds(phrase.words, seconds)
        words = tuple(
            SpokenWord(int(word), float(start), float(end), exact)
            for word, (start, end) in zip(phrase.words, bounds, strict=True)
        )
        return cls(spectrum.astype(np.float16), words)


def _guess_bounds(words: NDArray[np.int32], seconds: float) -> NDArray[np.float64]:
    """Return bounds in proportion to the words' letters."""
    letters = np.array([len(vocabulary.WORDS[word]) + 1 for word in words])
    edges = np.concatenate([[0], np.cumsum(letters)]) / letters.sum() * seconds
    return np.stack([edges[:-1], edges[1:]], axis=1)


@dataclass
class _Scene:
    """The sound of a window while it is composed."""

    powers: Spectrum
    words: list[SpokenWord]
    goes_on: bool


class Composer:
    """Composes random examples from the bank; the seed decides all of them."""

    def __init__(self, phrases: list[Phrase], seed: int) -> None:
        self._sounds = [_Sound.of(phrase) for phrase in phrases]
        self._noises = noises()
        self._rng = np.random.default_rng(seed)

    def batch(self, window: Window) -> Batch:
        """Return a batch of examples."""
        examples = [self._example(window) for _ in range(window.batch)]
        return Batch(*(np.stack(field) for field in zip(*examples, strict=True)))

    def _example(self, window: Window) -> Batch:
        rng = self._rng
        first_row = 0
        if window.is_excerpt:
            first_row = int(rng.integers(0, ENCODER_POSITIONS - window.positions + 1))
        scene = self._scene(window)
        features = self._features(scene)
        frames = len(features)
        mel = np.zeros((window.positions * FRAMES_PER_POSITION, MELS), np.float16)
        mel[:frames] = features
        view = View(-(-frames // FRAMES_PER_POSITION), first_row, scene.goes_on)
        labels, known = _frame_labels(scene.words, view.positions, window.positions)
        return Batch(
            mel,
            *self._places(window, first_row),
            *self._text(scene, view, window),
            labels,
            known,
        )

    def _scene(self, window: Window) -> _Scene:
        """Return phrases and noise for one window, at most as long as its content may be."""
        rng = self._rng
        longest = window.content_positions * FRAMES_PER_POSITION
        fills = rng.random() < (0.15 if window.padding_samples else 0.6)
        frames = longest if fills else int(longest * rng.uniform(0.12, 1.0))
        # Only a window without padding is followed by more audio.
        goes_on = fills and not window.padding_samples
        keep_whole = not goes_on and rng.random() < 0.8
        gain = float(rng.uniform(*_GAIN_DECIBEL)) / 10
        empty = rng.random() < _EMPTY_SHARE
        powers = np.zeros((frames, MELS), np.float32)
        words = [] if empty else self._speak(powers, keep_whole=keep_whole)
        if keep_whole and words:
            tail = int(rng.uniform(0.02, 1.0) * FRAMES_PER_SECOND)
            powers = powers[: int(words[-1].end * FRAMES_PER_SECOND) + tail]
        powers *= 10**gain
        self._add_noise(powers, None if empty or not words else gain)
        return _Scene(powers, words, goes_on)

    def _speak(self, powers: Spectrum, *, keep_whole: bool) -> list[SpokenWord]:
        """Add phrases to the spectrum until it is full; return their words."""
        rng = self._rng
        frames = len(powers)
        colour = self._colour()
        words: list[SpokenWord] = []
        at = int(rng.uniform(0, 0.6) * FRAMES_PER_SECOND)
        if rng.random() < 0.25:
            at = int(rng.uniform(0, min(frames / FRAMES_PER_SECOND * 0.5, 6)) * FRAMES_PER_SECOND)
        segment_words = 0
        warp, stretch = self._voice_change()
        while at < frames - 15:
            sound = self._sounds[rng.integers(len(self._sounds))]
            if rng.random() < 0.2:
                warp, stretch = self._voice_change()
            spectrum = _stretch(sound.spectrum.astype(np.float32) @ _warp_matrix(warp), stretch)
            if keep_whole and at + len(spectrum) > frames:
                break
            part = spectrum[: frames - at]
            powers[at : at + len(part)] += 10 ** (part + colour + rng.uniform(-0.4, 0.4))
            scale = len(spectrum) / len(sound.spectrum)
            words += [_moved(word, at / FRAMES_PER_SECOND, scale) for word in sound.words]
            segment_words += len(sound.words)
            pause, joined = self._pause(segment_words)
            segment_words = segment_words if joined else 0
            at += len(spectrum) + int(pause * FRAMES_PER_SECOND)
        return words

    def _pause(self, segment_words: int) -> tuple[float, bool]:
        """Return the pause after a phrase in seconds, and whether the segment goes on over it."""
        rng = self._rng
        draw = rng.random()
        if draw < _JOIN_SHARE and segment_words < transcripts.SEGMENT_WORDS - 1:
            return float(rng.uniform(0, 0.15)), True
        if draw > 1 - _LONG_PAUSE_SHARE:
            return float(rng.uniform(1.2, 4)), False
        return float(rng.uniform(0.42, 1.2)), False

    def _voice_change(self) -> tuple[int, float]:
        """Return a vocal-tract warp in percent and a factor of duration."""
        warp = int(self._rng.integers(-_WARP_PERCENT, _WARP_PERCENT + 1))
        return warp, 1 + float(self._rng.uniform(*_STRETCH))

    def _colour(self) -> Spectrum:
        """Return the log powers that a microphone adds to each band."""
        rng = self._rng
        tilt = rng.uniform(-0.8, 0.8) * np.linspace(-0.5, 0.5, MELS)
        turns = np.linspace(0, np.pi * rng.uniform(1, 4), MELS) + rng.uniform(0, 2 * np.pi)
        return (tilt + rng.uniform(-0.25, 0.25) * np.cos(turns)).astype(np.float32)

    def _add_noise(self, powers: Spectrum, speech_gain: float | None) -> None:
        """Add noise below the speech, or of any level where there is none."""
        rng = self._rng
        if rng.random() > _NOISY_SHARE:
            return
        kind = str(rng.choice(list(_NOISE_WEIGHTS), p=list(_NOISE_WEIGHTS.values())))
        spectrum = self._noises[kind]
        start = rng.integers(0, len(spectrum) - len(powers))
        if speech_gain is None:
            level = rng.uniform(-8, -0.4)
        else:
            level = speech_gain + 2 * np.log10(_SPEECH_LEVEL) - rng.uniform(*_SNR_DECADES)
        powers += 10 ** (spectrum[start : start + len(powers)] + level)

    def _features(self, scene: _Scene) -> Spectrum:
        """Return the normalised log-mel features of the scene, with a masked band in some."""
        rng = self._rng
        log_powers = np.log10(np.maximum(scene.powers, 10**LOWEST_LOG_POWER))
        # The loudest moment of the file may lie outside this window.
        elsewhere = rng.uniform(0, 0.6) if rng.random() < 0.3 else 0
        features = normalise(log_powers, float(log_powers.max()) + elsewhere)
        if rng.random() < _MASK_SHARE:
            width = rng.integers(2, 9)
            band = rng.integers(0, MELS - width)
            features[:, band : band + width] = features.mean()
        return features

    def _places(self, window: Window, first_row: int) -> tuple[NDArray[np.int32], Spectrum]:
        """Return the positions' rows in the position table and their log weights."""
        content = np.arange(window.content_positions, dtype=np.int32) + first_row
        if not window.padding_samples:
            return content, np.zeros(window.positions, np.float32)
        padding = np.arange(window.content_positions, ENCODER_POSITIONS, dtype=np.int32)
        # The first padding stays: its features still feel the content beside it.
        sampled = self._rng.choice(padding[2:], window.padding_samples - 2, replace=False)
        rows = np.concatenate([content, padding[:2], np.sort(sampled)])
        log_weights = np.zeros(window.positions, np.float32)
        log_weights[window.content_positions + 2 :] = np.log((len(padding) - 2) / len(sampled))
        return rows, log_weights

    def _text(self, scene: _Scene, view: View, window: Window) -> Exercise:
        """Return what the decoder reads and is to write."""
        rng = self._rng
        timestamps = bool(rng.random() < _TIMESTAMP_SHARE)
        steps = transcripts.transcribe(scene.words, view, timestamps=timestamps)
        prompt = [vocabulary.START] if timestamps else [vocabulary.START, vocabulary.NO_TIMESTAMPS]
        room = window.tokens - len(steps or ()) - len(prompt) - 4
        first_position = 0
        if rng.random() < window.prompt_share and room > 4:
            length = int(rng.integers(2, min(room, 220)))
            prompt = transcripts.previous_text(length, rng, timestamps=timestamps) + prompt
        elif rng.random() < 0.4:
            first_position = int(rng.integers(0, DECODER_POSITIONS - window.tokens))
        if not steps:
            silent = transcripts.silent_exercise(
                prompt, view, window.tokens, first_position, rng, timestamps=timestamps
            )
            return silent if steps is not None else silent.without_weight()
        if timestamps and not window.is_excerpt:
            steps = transcripts.clip_first_timestamp(steps)
        return transcripts.exercise(prompt, steps, window.tokens, first_position, rng)


def _frame_labels(
    words: list[SpokenWord], heard: int, positions: int
) -> tuple[NDArray[np.int32], NDArray[np.float16]]:
    """Return the class of each position and whether it is known; only ``heard`` ones sound."""
    labels = np.zeros(positions, np.int32)
    known = np.ones(positions, np.float16)
    for word in words:
        first = int(word.start / SECONDS_PER_POSITION)
        last = int(np.ceil(word.end / SECONDS_PER_POSITION))
        places = np.arange(first, min(last, heard))
        if not len(places):
            continue
        if word.exact:
            third = np.minimum(2, 3 * (places - first + 0.5) / (last - first)).astype(int)
            labels[places] = 1 + 3 * word.word + third
        else:
            known[places] = 0
    return labels, known


def _moved(word: SpokenWord, seconds: float, scale: float) -> SpokenWord:
    start, end = seconds + word.start * scale, seconds + word.end * scale
    return SpokenWord(word.word, start, end, word.exact)


@cache
def _warp_matrix(percent: int) -> Spectrum:
    """Return the matrix (80, 80) that moves the bands of a spectrum up by some percent."""
    sources = np.clip(np.arange(MELS) * (1 + percent / 100), 0, MELS - 1.001)
    lower = sources.astype(int)
    matrix = np.zeros((MELS, MELS), np.float32)
    matrix[lower, np.arange(MELS)] = 1 - (sources - lower)
    matrix[lower + 1, np.arange(MELS)] += sources - lower
    return matrix


def _stretch(spectrum: Spectrum, factor: float) -> Spectrum:
    """Return the spectrum with its duration changed by linear interpolation."""
    count = max(4, int(len(spectrum) * factor))
    sources = np.linspace(0, len(spectrum) - 1.001, count)
    lower = sources.astype(int)
    weight = (sources - lower).astype(np.float32)[:, None]
    stretched: Spectrum = spectrum[lower] * (1 - weight) + spectrum[lower + 1] * weight
    return stretched
