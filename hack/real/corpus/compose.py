"""Utterances and pauses on one line of time, with the truth about who said what when."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from hack.real.corpus.audio import RATE, Samples, at_level, silence
from hack.real.corpus.voices import Utterance

__all__ = ["Phrase", "Take", "gather", "lay", "mix"]

_LOUDEST: Final = 0.95


@dataclass(frozen=True, slots=True)
class Phrase:
    """What was said from `start` to `end`, in seconds; `channel` is `left` or `right` in stereo."""

    start: float
    end: float
    text: str
    channel: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Take:
    """Audio of shape (channels, samples) and the phrases in it, in order of time."""

    samples: Samples
    phrases: tuple[Phrase, ...] = ()

    @property
    def seconds(self) -> float:
        """The length."""
        return int(self.samples.shape[-1]) / RATE


def gather(
    utterances: Iterator[Utterance], seconds: float, pause: Callable[[], float]
) -> tuple[list[Utterance], list[float]]:
    """Return utterances until the next would go over `seconds`, and the pauses between them.

    There is at least one. The levels differ a little, as those of people do.
    """
    taken = [next(utterances)]
    pauses: list[float] = []
    held = len(taken[0].samples) / RATE
    for utterance in utterances:
        gap = pause()
        held += gap + len(utterance.samples) / RATE
        if held > seconds:
            break
        taken.append(utterance)
        pauses.append(gap)
    return taken, pauses


def lay(utterances: Sequence[Utterance], pauses: Sequence[float], lead: float, tail: float) -> Take:
    """Return one channel: utterances with pauses of so many seconds between, before and after."""
    pieces = [silence(lead)]
    phrases: list[Phrase] = []
    at = len(pieces[0])
    for utterance, pause in zip(utterances, (*pauses, tail), strict=True):
        end = at + len(utterance.samples)
        phrases.append(Phrase(round(at / RATE, 4), round(end / RATE, 4), utterance.text))
        pieces += [utterance.samples, silence(pause)]
        at = end + len(pieces[-1])
    whole = np.concatenate(pieces)
    return Take(_unclipped(whole)[None], tuple(phrases))


def mix(take: Take, background: Samples, ratio: float) -> Take:
    """Return a take over a background that is `ratio` dB softer than its speech."""
    spoken = np.concatenate(
        [
            take.samples.mean(axis=0)[round(phrase.start * RATE) : round(phrase.end * RATE)]
            for phrase in take.phrases
        ]
    )
    level = 10 * np.log10(np.mean(np.square(spoken, dtype=np.float64)))
    under = at_level(background[: take.samples.shape[-1]], float(level) - ratio)
    return replace(take, samples=_unclipped(take.samples + under))


def _unclipped(samples: Samples) -> Samples:
    loudest = float(np.abs(samples).max())
    return samples if loudest <= _LOUDEST else (samples * (_LOUDEST / loudest)).astype(np.float32)
