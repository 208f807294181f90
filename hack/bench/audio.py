"""Speech of any length, from the words of the bundled clips."""

import random
import wave
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import av
import numpy as np
from faster_whisper.audio import decode_audio
from numpy.typing import NDArray

from whisperfleet.demo.clips import demo_clips

__all__ = ["RATE", "write_clip", "write_long_wav"]

RATE: Final = 16_000
_PAUSE_SECONDS: Final = 0.2
_SECONDS_AT_ONCE: Final = 600

Samples = NDArray[np.int16]


def write_clip(path: Path, seconds: float, seed: int) -> Path:
    """Write speech of a length as Ogg Opus; each seed says something else."""
    samples = next(_pieces(seed, int(seconds * RATE)))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libopus", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None, :], "s16", "mono")
        frame.sample_rate = RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_long_wav(path: Path, seconds: int, seed: int) -> Path:
    """Write hours of speech, without taking long over it."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        for piece in islice(_pieces(seed, _SECONDS_AT_ONCE * RATE), seconds // _SECONDS_AT_ONCE):
            file.writeframes(piece.tobytes())
    return path


def _pieces(seed: int, length: int) -> Iterator[Samples]:
    """Yield stretches of `length` samples without end: phrases in random order, short pauses."""
    order = random.Random(seed)
    phrases = list(_phrases())
    pause = np.zeros(int(_PAUSE_SECONDS * RATE), np.int16)
    held = np.empty(0, np.int16)
    while True:
        while len(held) < length:
            held = np.concatenate([held, order.choice(phrases), pause])
        yield held[:length]
        held = held[length:]


def _phrases() -> Iterator[Samples]:
    for clip in demo_clips():
        samples = (decode_audio(str(clip.path)) * 32767).astype(np.int16)
        for start, end in clip.phrases:
            yield samples[int(start * RATE) : int(end * RATE)]
