"""Who speaks: a natural voice, human readers, and a synthesiser of many languages."""

import ctypes
import importlib
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np

from hack.real.corpus.audio import RATE, Samples, read_audio, resample, trim
from hack.real.errors import GroundError
from hack.real.packages import ESPEAK, HIBARI, PRESIDENT, READERS, unpacked

__all__ = ["Studio", "Utterance", "texts"]

_TEXTS: Final = Path(__file__).parent / "texts"
_ADDRESS: Final = (
    "And so, my fellow Americans, ask not what your country can do for you, ask what you can do "
    "for your country."
)
# Seconds of the room before the first and after the last sound of each reading and of the address,
# by their energy and spectrum, to 20 ms: it is no softer than speech is at its edges.
_ROOMS: Final = ((0.22, 0.32), (0.22, 0.16), (0.24, 0.22), (0.24, 0.22), (0.24, 0.28))
_ADDRESS_ROOM: Final = (0.22, 0.52)
# The transcript of the readers has a word that was not read.
_NOT_READ: Final = ("a more a amiable", "a more amiable")


@dataclass(frozen=True, slots=True, eq=False)
class Utterance:
    """A sentence from its first audible sample to its last."""

    samples: Samples
    text: str


def texts(name: str) -> list[str]:
    """Return the lines of one of the texts of this folder."""
    return (_TEXTS / f"{name}.txt").read_text("utf-8").splitlines()


class Studio:
    """The speakers, each fetched and loaded when it is first wanted."""

    def speak(self, text: str, seed: int, speed: float = 1.0, depth: float = 1.0) -> Utterance:
        """Return an English sentence by the natural voice; `depth` over 1 makes it a deeper one."""
        spoken: Samples = self._hibari(text, speed=speed * depth, seed=seed)
        length = round(len(spoken) * depth * RATE / self._hibari.sample_rate)
        return Utterance(trim(resample(spoken, length)), text)

    def speak_language(self, text: str, language: str) -> Utterance:
        """Return a sentence in a language, by its code in espeak-ng."""
        samples, rate = self._espeak(text, language)
        length = round(len(samples) * RATE / rate)
        return Utterance(trim(resample(samples, length)), text)

    @cached_property
    def sentences(self) -> list[str]:
        """All English sentences."""
        return [line for name in ("everyday", "books", "knowledge") for line in texts(name)]

    @cached_property
    def readers(self) -> list[Utterance]:
        """What people read from a novel, for LibriVox."""
        folder = unpacked(READERS) / "usr/share/pocketsphinx/test/data/librivox"
        lines = (folder / "transcription").read_text().splitlines()
        found = [re.fullmatch(r"<s> (.*) </s> \((.*)\)", line) for line in lines]
        lines_read = zip(filter(None, found), _ROOMS, strict=True)
        return [
            Utterance(
                _without_room(read_audio(folder / f"{line[2]}.wav"), room),
                line[1].replace(*_NOT_READ),
            )
            for line, room in lines_read
        ]

    @cached_property
    def president(self) -> Utterance:
        """A president's sentence of eleven seconds, from 1961."""
        (member,) = PRESIDENT.members
        return Utterance(
            _without_room(read_audio(unpacked(PRESIDENT) / member), _ADDRESS_ROOM), _ADDRESS
        )

    @cached_property
    def _hibari(self) -> Any:
        folder = str(unpacked(HIBARI))
        if folder not in sys.path:
            sys.path.append(folder)
        return importlib.import_module("hibari").Hibari()

    @cached_property
    def _espeak(self) -> Callable[[str, str], tuple[Samples, int]]:
        return _Espeak(unpacked(ESPEAK) / "espeakng_loader").speak


def _without_room(samples: Samples, room: tuple[float, float]) -> Samples:
    first, last = (round(seconds * RATE) for seconds in room)
    return trim(samples)[first:-last]


class _Espeak:
    """The library espeak-ng; one a process, as it has globals."""

    # Constants of speak_lib.h.
    _OUTPUT_SYNCHRONOUS: Final = 2
    _POSITION_CHARACTER: Final = 1
    _UTF8: Final = 1

    def __init__(self, folder: Path) -> None:
        self._library = ctypes.CDLL(str(folder / "libespeak-ng.so"))
        self._rate: int = self._library.espeak_Initialize(
            self._OUTPUT_SYNCHRONOUS, 0, str(folder).encode(), 0
        )
        if self._rate <= 0:
            raise GroundError(f"espeak-ng does not find its data in {folder}; remove the folder")
        self._chunks: list[np.ndarray[Any, np.dtype[np.int16]]] = []
        # Kept as an attribute: ctypes would otherwise free the callback.
        self._callback = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
        )(self._on_audio)
        self._library.espeak_SetSynthCallback(self._callback)

    def speak(self, text: str, language: str) -> tuple[Samples, int]:
        """Return the samples and their rate."""
        if self._library.espeak_SetVoiceByName(language.encode()) != 0:
            raise GroundError(f"espeak-ng does not know the language {language}; see its voices")
        self._chunks.clear()
        encoded = text.encode()
        self._library.espeak_Synth(
            encoded, len(encoded) + 1, 0, self._POSITION_CHARACTER, 0, self._UTF8, None, None
        )
        self._library.espeak_Synchronize()
        return np.concatenate(self._chunks).astype(np.float32) / np.float32(32768), self._rate

    def _on_audio(self, samples: Any, count: int, _: Any) -> int:
        if samples and count > 0:
            self._chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0
