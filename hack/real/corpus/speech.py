"""The parts in which somebody speaks English."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import numpy as np
from numpy.random import Generator

from hack.real.corpus.audio import (
    RATE,
    Samples,
    at_level,
    limit_pauses,
    silence,
    write_narrow,
    write_telephone,
)
from hack.real.corpus.compose import Phrase, Take, gather, lay, mix
from hack.real.corpus.drafts import Draft, Write, every
from hack.real.corpus.sounds import coloured
from hack.real.corpus.voices import Studio, Utterance

__all__ = [
    "clips",
    "files",
    "fluent",
    "level",
    "narrow",
    "noisy",
    "readers",
    "telephone",
    "two_speakers",
    "voice_lines",
]

# Whisper's window, which the longer clips just fit in.
_SHORT: Final = (2.0, 10.0)
_MIDDLE: Final = (10.0, 20.0)
_LONG: Final = (20.0, 30.0)
_CLIP_PAUSE: Final = (0.1, 1.5)
_TURN_PAUSE: Final = (0.1, 0.8)
_FLUENT_PAUSE: Final = 0.12
_FLUENT_SECONDS: Final = (120.0, 150.0, 180.0)
_QUICK_FLUENT_SECONDS: Final = 75.0
# Pauses of long files: how many of a hundred are so long.
_LONG_PAUSES: Final = ((60, 0.1, 1.0), (30, 1.0, 5.0), (8, 5.0, 30.0), (2, 30.0, 120.0))
_FLOOR_SAMPLES: Final = 60 * RATE
_DEEP: Final = 1.22


def clips() -> list[Draft]:
    """Return clips of 2 to 30 s by one voice."""
    return [
        *every(40, "short", partial(_voice_clip, _SHORT), quick=3),
        *every(40, "middle", partial(_voice_clip, _MIDDLE), quick=2),
        *every(40, "long", partial(_voice_clip, _LONG), quick=3),
    ]


def readers() -> list[Draft]:
    """Return what people read, alone and between sentences of the voice in windows' length."""
    return [
        *(
            Draft(f"reader-{number:03}.flac", "reader", partial(_one_reader, number - 1))
            for number in range(1, 6)
        ),
        Draft("president.flac", "reader", _president),
        *every(40, "joined", partial(_joined, _LONG), quick=4),
    ]


def files() -> list[Draft]:
    """Return two files of ten minutes and one of an hour."""
    return [
        *every(2, "ten-minutes", partial(_long_file, 600.0)),
        *every(1, "an-hour", partial(_long_file, 3600.0)),
    ]


def fluent() -> list[Draft]:
    """Return minutes of speech without a pause to cut at."""
    quick = Draft(
        "fluent-quick.flac", "fluent", partial(_fluent, _QUICK_FLUENT_SECONDS), quick=True
    )
    return [
        quick,
        *(
            Draft(f"fluent-{number:03}.flac", "fluent", partial(_fluent, seconds))
            for number, seconds in enumerate(_FLUENT_SECONDS, start=1)
        ),
    ]


def noisy(ratio: float) -> list[Draft]:
    """Return some clips and readers with noise, white or pink, `ratio` dB under the speech."""
    return [
        replace(
            draft,
            name=f"noise{ratio:g}-{draft.name}",
            kind=f"noise{ratio:g}",
            make=partial(_in_noise, draft, ratio, float(number % 2)),
            quick=number == 0,
        )
        for number, draft in enumerate(_some())
    ]


def telephone() -> list[Draft]:
    """Return some clips and readers as a telephone carries them; they are written so, too."""
    return _some_through("telephone", write_telephone)


def narrow() -> list[Draft]:
    """Return the same by telephones that carry no low tones at all."""
    return _some_through("narrow", write_narrow)


def two_speakers() -> list[Draft]:
    """Return talks of two people by turns, in one channel, and with a channel for each."""
    return [
        *every(7, "two-voices", _two_voices, quick=1),
        *every(3, "voice-and-reader", _voice_and_reader),
        *every(4, "stereo", _stereo, quick=1),
    ]


def voice_lines(studio: Studio, rng: Generator, depth: float = 1.0) -> Iterator[Utterance]:
    """Yield sentences of the voice in random order, at an even pace of its own."""
    speed = float(rng.uniform(0.9, 1.15))
    while True:
        for number in rng.permutation(len(studio.sentences)):
            seed = int(rng.integers(2**31))
            yield level(studio.speak(studio.sentences[number], seed, speed, depth), rng)


def level(utterance: Utterance, rng: Generator) -> Utterance:
    """Return an utterance at the level of ordinary speech, give or take a little."""
    return replace(utterance, samples=at_level(utterance.samples, float(rng.uniform(-26, -20))))


def _some() -> list[Draft]:
    """Return clips of every length, a third of them with human readers."""
    chosen = [draft for draft in clips() if draft.kind != "short"][1::8]
    return [*chosen, *(draft for draft in readers() if draft.kind == "joined")][:18]


def _some_through(kind: str, write: Write) -> list[Draft]:
    return [
        replace(
            draft,
            name=f"{kind}-{draft.stem}.wav",
            kind=kind,
            make=partial(_as_it_was, draft),
            quick=number == 0,
            write=write,
        )
        for number, draft in enumerate(_some())
    ]


def _voice_clip(lengths: tuple[float, float], studio: Studio, rng: Generator) -> Take:
    return _clip(voice_lines(studio, rng), lengths, _CLIP_PAUSE, rng)


def _clip(
    lines: Iterator[Utterance],
    lengths: tuple[float, float],
    pause: tuple[float, float],
    rng: Generator,
) -> Take:
    said, pauses = gather(lines, rng.uniform(*lengths), lambda: float(rng.uniform(*pause)))
    lead, tail = rng.uniform(0.0, 0.6), rng.uniform(0.0, 1.0)
    take = lay(said, pauses, float(lead), float(tail))
    return _on_a_floor(take, rng)


def _on_a_floor(take: Take, rng: Generator) -> Take:
    """Return the take with the faint noise of a room, in half of all cases."""
    if rng.random() < 0.5:
        return take
    # A minute of it over and over: the spectrum of an hour takes gigabytes.
    floor = at_level(coloured(rng, _FLOOR_SAMPLES, 1.0), -65.0)
    return replace(take, samples=take.samples + np.resize(floor, take.samples.shape[-1]))


def _one_reader(number: int, studio: Studio, rng: Generator) -> Take:
    return lay([level(studio.readers[number], rng)], [], 0.3, 0.3)


def _president(studio: Studio, rng: Generator) -> Take:
    return lay([level(studio.president, rng)], [], 0.3, 0.3)


def _joined(lengths: tuple[float, float], studio: Studio, rng: Generator) -> Take:
    return _clip(_readers_and_voice(studio, rng, share=0.7), lengths, _CLIP_PAUSE, rng)


def _readers_and_voice(studio: Studio, rng: Generator, share: float) -> Iterator[Utterance]:
    """Yield sentences of readers and of the voice by chance, `share` of them by readers."""
    voice = voice_lines(studio, rng)
    waiting: list[int] = []
    while True:
        if rng.random() >= share:
            yield next(voice)
            continue
        # Each has read before anybody reads again.
        waiting = waiting or list(rng.permutation(len(studio.readers)))
        yield level(studio.readers[waiting.pop()], rng)


def _long_file(seconds: float, studio: Studio, rng: Generator) -> Take:
    weights = np.array([weight for weight, _, _ in _LONG_PAUSES]) / 100

    def pause() -> float:
        _, least, most = _LONG_PAUSES[rng.choice(len(_LONG_PAUSES), p=weights)]
        return float(rng.uniform(least, most))

    said, pauses = gather(voice_lines(studio, rng), seconds, pause)
    return _on_a_floor(lay(said, pauses, 0.5, 0.5), rng)


def _fluent(seconds: float, studio: Studio, rng: Generator) -> Take:
    lines = (
        replace(line, samples=limit_pauses(line.samples, _FLUENT_PAUSE))
        for line in voice_lines(studio, rng)
    )
    said, pauses = gather(lines, seconds, lambda: 0.0)
    return lay(said, pauses, 0.2, 0.2)


def _in_noise(draft: Draft, ratio: float, slope: float, studio: Studio, rng: Generator) -> Take:
    take = draft.take(studio)
    return mix(take, coloured(rng, take.samples.shape[-1], slope), ratio)


def _as_it_was(draft: Draft, studio: Studio, _: Generator) -> Take:
    return draft.take(studio)


def _two_voices(studio: Studio, rng: Generator) -> Take:
    turns = _by_turns(voice_lines(studio, rng), voice_lines(studio, rng, _DEEP))
    return _clip(turns, (20.0, 40.0), _TURN_PAUSE, rng)


def _voice_and_reader(studio: Studio, rng: Generator) -> Take:
    turns = _by_turns(voice_lines(studio, rng), _readers_and_voice(studio, rng, share=1.0))
    return _clip(turns, (20.0, 40.0), _TURN_PAUSE, rng)


def _by_turns(first: Iterator[Utterance], second: Iterator[Utterance]) -> Iterator[Utterance]:
    while True:
        yield next(first)
        yield next(second)


def _stereo(studio: Studio, rng: Generator) -> Take:
    mono = _two_voices(studio, rng)
    return Take(
        np.stack([_only(mono.samples[0], mono.phrases[side::2]) for side in (0, 1)]),
        tuple(
            replace(phrase, channel=("left", "right")[number % 2])
            for number, phrase in enumerate(mono.phrases)
        ),
    )


def _only(samples: Samples, phrases: Sequence[Phrase]) -> Samples:
    """Return the samples of some phrases and silence around them."""
    kept = silence(len(samples) / RATE)
    for phrase in phrases:
        part = slice(round(phrase.start * RATE), round(phrase.end * RATE))
        kept[part] = samples[part]
    return kept
