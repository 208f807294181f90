"""The part whose files say more than their samples: packets with times, and two channels."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Final

import numpy as np
from numpy.random import Generator

from hack.real.corpus.audio import RATE
from hack.real.corpus.compose import Take, lay
from hack.real.corpus.drafts import Draft, Make, Write
from hack.real.corpus.packets import UNSENT_SECONDS, write_film, write_sound
from hack.real.corpus.speech import voice_lines
from hack.real.corpus.voices import Studio

__all__ = ["containers"]

_SENTENCES: Final = 2
_EDGE: Final = (0.1, 0.4)
_LONGEST_SENTENCE: Final = 3.5
_PAUSE: Final = (0.3, 0.9)
# The decoder looks at a second at a time to see which channels cancel.
_TURN_PAUSE: Final = (1.1, 1.4)
_LATE: Final = (3.0, 6.0)
_HOLE: Final = (3.0, 6.0)


def containers() -> list[Draft]:
    """Return files in which the sound begins late, has a hole, or has channels that cancel.

    The truth is what a player plays and when. Of each kind the last file is quick.
    """
    aac, opus = partial(write_sound, "aac"), partial(write_sound, "libopus")
    aac_film, opus_film = partial(write_film, "aac"), partial(write_film, "libopus")
    late = {"mp4": aac_film, "mov": aac_film, "ts": aac_film, "mkv": opus_film}
    return [
        *_each("late", _late, late),
        *_each("hole", _hole, {"mp4": aac_film, "ts": aac, "ogg": opus, "webm": opus}),
        *_each("opposite", _opposite, {"webm": opus, "m4a": aac}),
        *_each("half-opposite", _half_opposite, {"mkv": opus, "mp4": aac_film}),
    ]


def _each(kind: str, make: Make, writers: Mapping[str, Write]) -> list[Draft]:
    """Return a draft for each ending of a file and what writes it."""
    return [
        Draft(f"{kind}-{number:03}.{ending}", kind, make, quick=number == len(writers), write=write)
        for number, (ending, write) in enumerate(writers.items(), start=1)
    ]


def _late(studio: Studio, rng: Generator) -> Take:
    return _sentences(studio, rng, UNSENT_SECONDS / 2 + rng.uniform(*_LATE), rng.uniform(*_PAUSE))


def _hole(studio: Studio, rng: Generator) -> Take:
    return _sentences(studio, rng, rng.uniform(*_EDGE), UNSENT_SECONDS + rng.uniform(*_HOLE))


def _opposite(studio: Studio, rng: Generator) -> Take:
    return _turned(_sentences(studio, rng, rng.uniform(*_EDGE), rng.uniform(*_PAUSE)))


def _half_opposite(studio: Studio, rng: Generator) -> Take:
    """Return a take whose right channel is the left's opposite up to the last sentence."""
    take = _turned(_sentences(studio, rng, rng.uniform(*_EDGE), rng.uniform(*_TURN_PAUSE)))
    left, right = take.samples
    until = np.arange(len(left)) < take.phrases[-1].start * RATE
    return replace(take, samples=np.stack([left, np.where(until, right, left)]))


def _turned(take: Take) -> Take:
    """Return a take of one channel with a second one that cancels it."""
    (left,) = take.samples
    return replace(take, samples=np.stack([left, -left]))


def _sentences(studio: Studio, rng: Generator, lead: float, pause: float) -> Take:
    longest = _LONGEST_SENTENCE * RATE
    short = (line for line in voice_lines(studio, rng) if len(line.samples) <= longest)
    said = list(islice(short, _SENTENCES))
    return lay(said, [pause] * (_SENTENCES - 1), lead, rng.uniform(*_EDGE))
