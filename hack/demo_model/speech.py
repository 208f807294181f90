"""Speech from the two synthesisers: espeak-ng's library (it reports word bounds) and flite."""

import ctypes
import subprocess
import tempfile
import wave
from dataclasses import dataclass
from itertools import pairwise
from math import gcd
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly  # type: ignore[import-untyped]

from hack.demo_model.voices import Delivery

SAMPLE_RATE: Final = 16_000

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Utterance:
    """One spoken phrase without silence around it."""

    samples: Samples
    """Audio at 16 kHz, full scale 1.0, shape (samples,)."""
    bounds: NDArray[np.float32] | None
    """Start and end of each word in seconds, shape (words, 2), where they are known."""

    @property
    def seconds(self) -> float:
        """The duration."""
        return len(self.samples) / SAMPLE_RATE


class SynthesisError(RuntimeError):
    """A synthesiser did not speak."""


class _Event(ctypes.Structure):
    """``espeak_EVENT`` of espeak-ng's speak_lib.h."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


_OnAudio = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class Espeak:
    """espeak-ng as a function from text to audio; one per process, as its library has globals."""

    _LIBRARY: Final = "libespeak-ng.so.1"
    # Constants of speak_lib.h.
    _OUTPUT_SYNCHRONOUS: Final = 2
    _EVENT_END_OF_LIST: Final = 0
    _EVENT_WORD: Final = 1
    _POSITION_CHARACTER: Final = 1
    _UTF8: Final = 1
    _RATE: Final = 1
    _PITCH: Final = 3
    _PITCH_RANGE: Final = 4
    _WORD_GAP: Final = 7

    def __init__(self) -> None:
        self._library = ctypes.CDLL(self._LIBRARY)
        self._rate: int = self._library.espeak_Initialize(self._OUTPUT_SYNCHRONOUS, 0, None, 0)
        if self._rate <= 0:
            raise SynthesisError("starting espeak-ng: its voice data was not found")
        self._chunks: list[NDArray[np.int16]] = []
        self._word_starts: list[int] = []
        # Kept as an attribute: ctypes would otherwise free the callback.
        self._callback = _OnAudio(self._on_audio)
        self._library.espeak_SetSynthCallback(self._callback)

    def speak(self, words: list[str], voice: str, delivery: Delivery) -> Utterance:
        """Return the words spoken as one phrase, trimmed to the speech."""
        self._configure(voice, delivery)
        self._chunks.clear()
        self._word_starts.clear()
        text = " ".join(words).encode()
        self._library.espeak_Synth(
            text, len(text) + 1, 0, self._POSITION_CHARACTER, 0, self._UTF8, None, None
        )
        self._library.espeak_Synchronize()
        if not self._chunks:
            raise SynthesisError(f"speaking with {voice}: no audio came")
        samples = to_float(np.concatenate(self._chunks))
        start, end = speech_extent(samples, self._rate)
        bounds = self._bounds(samples, start, end, len(words))
        return Utterance(
            resample(samples[start:end], self._rate),
            None if bounds is None else ((bounds - start) / self._rate).astype(np.float32),
        )

    def _configure(self, voice: str, delivery: Delivery) -> None:
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise SynthesisError(f"choosing the voice {voice}: espeak-ng does not know it")
        for parameter, value in (
            (self._RATE, delivery.words_per_minute),
            (self._PITCH, delivery.pitch),
            (self._PITCH_RANGE, delivery.pitch_range),
            (self._WORD_GAP, delivery.word_gap),
        ):
            self._library.espeak_SetParameter(parameter, value, 0)

    def _on_audio(self, samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            self._chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        index = 0
        while events[index].type != self._EVENT_END_OF_LIST:
            if events[index].type == self._EVENT_WORD:
                self._word_starts.append(events[index].sample)
            index += 1
        return 0

    def _bounds(
        self, samples: Samples, start: int, end: int, words: int
    ) -> NDArray[np.int64] | None:
        """Return each word's first and last sample, shape (words, 2).

        An event says only where a word starts; where it ends is found by its energy. Without one
        event for each word (espeak-ng joins some pairs) the bounds are unknown.
        """
        if words == 1:
            return np.array([[start, end]])
        if len(self._word_starts) != words:
            return None
        edges = [*(max(s, start) for s in self._word_starts), end]
        bounds = []
        for first, following in pairwise(edges):
            if following - first < self._rate // 50:
                return None
            head, tail = speech_extent(samples[first:following], self._rate)
            bounds.append((first + head, first + tail))
        return np.array(bounds)


def flite(words: list[str], voice: str, stretch: float) -> Utterance:
    """Return the words spoken by flite; it gives no bounds, so only a lone word has them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        command = ["flite", "-voice", voice, "--setf", f"duration_stretch={stretch:.2f}"]
        command += ["-t", " ".join(words), "-o", str(path)]
        subprocess.run(command, check=True, capture_output=True)
        with wave.open(str(path)) as reader:
            rate = reader.getframerate()
            pcm = np.frombuffer(reader.readframes(reader.getnframes()), np.int16)
    samples = to_float(pcm)
    start, end = speech_extent(samples, rate)
    speech = resample(samples[start:end], rate)
    seconds = len(speech) / SAMPLE_RATE
    return Utterance(speech, np.array([[0, seconds]], np.float32) if len(words) == 1 else None)


def to_float(pcm: NDArray[np.int16]) -> Samples:
    """Return 16-bit audio at a full scale of 1.0."""
    return pcm.astype(np.float32) / np.float32(2**15)


def speech_extent(samples: Samples, rate: int) -> tuple[int, int]:
    """Return where speech starts and ends: 5 ms of a level above 1.5 % of the loudest."""
    window = max(1, rate // 200)
    energy = np.sqrt(np.convolve(samples**2, np.full(window, 1 / window), "same"))
    loud = np.nonzero(energy > max(0.015 * energy.max(), 1e-5))[0]
    return (int(loud[0]), int(loud[-1]) + 1) if len(loud) else (0, len(samples))


def resample(samples: Samples, rate: int) -> Samples:
    """Return the samples at 16 kHz."""
    common = gcd(SAMPLE_RATE, rate)
    resampled = resample_poly(samples, SAMPLE_RATE // common, rate // common)
    return np.asarray(resampled, np.float32)
