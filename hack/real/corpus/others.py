"""The parts beside plain English: no speech, other languages, what makes Whisper loop."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np
from numpy.random import Generator

from hack.real.corpus import sounds
from hack.real.corpus.audio import RATE, Samples, at_level
from hack.real.corpus.compose import Take, gather, lay, mix
from hack.real.corpus.drafts import Draft, every
from hack.real.corpus.speech import level, voice_lines
from hack.real.corpus.voices import Studio, Utterance, texts

__all__ = ["languages", "loops", "no_speech"]

# What espeak-ng calls a language and what Whisper does, where they differ.
_WHISPER_CODES: Final = {"cmn": "zh"}
_EACH: Final = 20
_SECONDS: Final = (1.0, 30.0)
_PEAK_DB: Final = (-40.0, -1.0)
_REPEATED: Final = ("No, no, no, no, no.", "Again, and again, and again.")


@dataclass(frozen=True, slots=True)
class _Sound:
    """A kind of sound, and whether it is among the few of the quick form."""

    name: str
    make: Callable[[Generator, int], Samples]
    quick: int = 0


_SOUNDS: Final = (
    _Sound("silence", lambda _, samples: np.zeros(samples, np.float32), quick=1),
    _Sound("white", partial(sounds.coloured, slope=0.0), quick=1),
    _Sound("pink", partial(sounds.coloured, slope=1.0)),
    _Sound("brown", partial(sounds.coloured, slope=2.0)),
    _Sound("hum-50", partial(sounds.hum, frequency=50.0), quick=1),
    _Sound("hum-60", partial(sounds.hum, frequency=60.0)),
    _Sound("dial-tone", sounds.dial_tone),
    _Sound("keypad", sounds.keypad, quick=1),
    _Sound("sweep", sounds.sweep),
    _Sound("clicks", sounds.clicks),
    _Sound("chords", sounds.chords, quick=1),
    _Sound("melody", sounds.melody, quick=1),
    _Sound("drums", sounds.drums, quick=1),
    _Sound("wind", sounds.wind),
    _Sound("breathing", sounds.breathing, quick=1),
)


def no_speech() -> list[Draft]:
    """Return sounds without a word, of 1 to 30 s, soft and loud."""
    return [
        replace(draft, language=None)
        for sound in _SOUNDS
        for draft in every(_EACH, sound.name, partial(_sound, sound), sound.quick)
    ]


def languages() -> list[Draft]:
    """Return two or three sentences of each language, at once and after seconds of silence."""
    spoken: dict[str, list[str]] = {}
    for line in texts("languages"):
        code, sentence = line.split("\t")
        spoken.setdefault(code, []).append(sentence)
    return [
        Draft(
            f"{code}-{name}.flac",
            name,
            partial(_language, code, sentences, lead),
            language=_WHISPER_CODES.get(code, code),
        )
        for code, sentences in spoken.items()
        for name, lead in (("at-once", (0.1, 0.5)), ("after-silence", (3.0, 10.0)))
    ]


def loops() -> list[Draft]:
    """Return what is known to make Whisper say the same again and again."""
    return [
        *every(2, "noise-then-speech", _noise_then_speech),
        *every(2, "over-music", _over_music, quick=1),
        *every(2, "word-repeated", _word_repeated, quick=1),
        *every(2, "murmur-then-speech", _murmur_then_speech),
        *every(6, "no-in-speech", _no_in_speech),
    ]


def _sound(sound: _Sound, _: Studio, rng: Generator) -> Take:
    least, most = np.log(_SECONDS)
    samples = sound.make(rng, round(float(np.exp(rng.uniform(least, most))) * RATE))
    gain = 10 ** (rng.uniform(*_PEAK_DB) / 20)
    return Take((samples * gain).astype(np.float32)[None])


def _language(
    code: str,
    sentences: list[str],
    lead: tuple[float, float],
    studio: Studio,
    rng: Generator,
) -> Take:
    said = [level(studio.speak_language(sentence, code), rng) for sentence in sentences]
    pauses = [float(rng.uniform(0.3, 0.8)) for _ in said[1:]]
    return lay(said, pauses, float(rng.uniform(*lead)), 0.5)


def _sentences(studio: Studio, rng: Generator, lead: float, seconds: float) -> Take:
    said, pauses = gather(voice_lines(studio, rng), seconds, lambda: float(rng.uniform(0.2, 0.8)))
    return lay(said, pauses, lead, 0.5)


def _noise_then_speech(studio: Studio, rng: Generator) -> Take:
    take = _sentences(studio, rng, float(rng.uniform(20.0, 40.0)), 12.0)
    return mix(take, sounds.coloured(rng, take.samples.shape[-1], 1.0), 15.0)


def _over_music(studio: Studio, rng: Generator) -> Take:
    take = _sentences(studio, rng, 4.0, 20.0)
    samples = take.samples.shape[-1]
    music = sounds.chords(rng, samples) + sounds.melody(rng, samples)
    return mix(take, music + sounds.drums(rng, samples), 8.0)


def _word_repeated(studio: Studio, rng: Generator) -> Take:
    text = _REPEATED[rng.integers(len(_REPEATED))]
    said: list[Utterance] = [
        level(studio.speak(text, int(rng.integers(2**31))), rng) for _ in range(8)
    ]
    return lay(said, [float(rng.uniform(0.1, 0.5)) for _ in said[1:]], 0.3, 0.5)


def _murmur_then_speech(studio: Studio, rng: Generator) -> Take:
    take = _sentences(studio, rng, 61.0, 12.0)
    murmur = sounds.modulated(rng, 60 * RATE)
    samples = take.samples.copy()
    samples[0, : len(murmur)] += at_level(murmur, -28.0)
    return replace(take, samples=samples)


def _no_in_speech(studio: Studio, rng: Generator) -> Take:
    before, _ = gather(voice_lines(studio, rng), 7.0, lambda: 0.3)
    repeated = [level(studio.speak(_REPEATED[0], int(rng.integers(2**31))), rng) for _ in range(2)]
    after, _ = gather(voice_lines(studio, rng), 9.0, lambda: 0.3)
    said = [*before, *repeated, *after]
    return lay(said, [float(rng.uniform(0.15, 0.4)) for _ in said[1:]], 0.3, 0.5)
