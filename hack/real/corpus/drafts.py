"""What a file of the corpus will be, before it is made."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.random import Generator

from hack.real.corpus.audio import Samples, write_flac
from hack.real.corpus.compose import Take
from hack.real.corpus.voices import Studio

__all__ = ["Draft", "Make", "Write", "every"]

_SEED: Final = 20

Make = Callable[[Studio, Generator], Take]
# Writes a file of samples of shape (channels, samples).
Write = Callable[[Path, Samples], None]


@dataclass(frozen=True, slots=True)
class Draft:
    """A file that `make` makes from speakers and random numbers of its own, and `write` writes.

    So it is the same whether it is made alone or among others. `quick` files are the few of a part
    that stand for it when there is little time. `language` is None where nobody speaks.
    """

    name: str
    kind: str
    make: Make
    quick: bool = False
    language: str | None = "en"
    write: Write = write_flac

    @property
    def stem(self) -> str:
        """The name without its ending."""
        return self.name.partition(".")[0]

    def take(self, studio: Studio) -> Take:
        """Make it."""
        return self.make(studio, np.random.default_rng([_SEED, zlib.crc32(self.stem.encode())]))


def every(count: int, kind: str, make: Make, quick: int = 0) -> list[Draft]:
    """Return drafts of one kind, numbered; the first `quick` of them are quick."""
    return [
        Draft(f"{kind}-{number:03}.flac", kind, make, quick=number <= quick)
        for number in range(1, count + 1)
    ]
