"""Samples: levels, silence, rates, and files of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.audio.stream import AudioStream
from faster_whisper.audio import decode_audio
from numpy.typing import NDArray

__all__ = [
    "RATE",
    "Samples",
    "at_level",
    "limit_pauses",
    "read_audio",
    "resample",
    "silence",
    "trim",
    "write_flac",
    "write_narrow",
    "write_telephone",
]

RATE: Final = 16_000
_TELEPHONE_RATE: Final = 8_000
# What is this far below the loudest of an utterance is not heard as part of it.
_SILENCE_DB: Final = -45.0
_BLOCK: Final = RATE // 200

# Audio at 16 kHz, full scale 1.0, of shape (samples,) unless it says otherwise.
Samples = NDArray[np.float32]

# From frequencies in Hz to what is left of them.
Gains = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def silence(seconds: float) -> Samples:
    """Return digital silence."""
    return np.zeros(round(seconds * RATE), np.float32)


def resample(samples: Samples, length: int) -> Samples:
    """Return the same audio in `length` samples: exactly, by its spectrum, without a delay."""
    spectrum = np.fft.rfft(samples)
    fitted = np.zeros(length // 2 + 1, np.complex128)
    kept = min(len(spectrum), len(fitted))
    fitted[:kept] = spectrum[:kept]
    return (np.fft.irfft(fitted, length) * (length / len(samples))).astype(np.float32)


def trim(samples: Samples) -> Samples:
    """Return an utterance from its first audible sample to its last, to 5 ms."""
    (audible,) = np.nonzero(_audible(samples))
    if not len(audible):
        return samples
    return samples[audible[0] * _BLOCK : (audible[-1] + 1) * _BLOCK]


def limit_pauses(samples: Samples, seconds: float) -> Samples:
    """Return an utterance none of whose pauses is longer than `seconds`, to 5 ms."""
    longest = round(seconds * RATE / _BLOCK)
    kept, quiet = [], 0
    for block, audible in enumerate(_audible(samples)):
        quiet = 0 if audible else quiet + 1
        if quiet <= longest:
            kept.append(samples[block * _BLOCK : (block + 1) * _BLOCK])
    return np.concatenate(kept)


def at_level(samples: Samples, decibels: float) -> Samples:
    """Return the samples with a root mean square of so many dB below full scale."""
    power = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    if power == 0.0:
        return samples
    return (samples * (10 ** (decibels / 20) / power)).astype(np.float32)


def read_audio(path: Path) -> Samples:
    """Return the samples of a file, mono."""
    return np.asarray(decode_audio(str(path), sampling_rate=RATE), np.float32)


def write_flac(path: Path, samples: Samples) -> None:
    """Write audio of shape (channels, samples)."""
    _write(path, samples, "flac", RATE)


def write_telephone(path: Path, samples: Samples) -> None:
    """Write audio of shape (channels, samples) at 8 kHz in mu-law, as a telephone carries it.

    Low tones fade as ITU-T G.712 has it: by 0.4 dB at 300 Hz, by over 24 dB at 60 Hz.
    """
    _write_mulaw(path, samples, lambda hertz: 1 / np.sqrt(1 + (200 / np.maximum(hertz, 1)) ** 6))


def write_narrow(path: Path, samples: Samples) -> None:
    """Write the same with nothing at all below 300 Hz."""
    _write_mulaw(path, samples, lambda hertz: np.where(hertz < 300, 0.0, 1.0))


def _write_mulaw(path: Path, samples: Samples, low_tones: Gains) -> None:
    narrow = np.stack([_through_telephone(channel, low_tones) for channel in samples])
    _write(path, narrow, "pcm_mulaw", _TELEPHONE_RATE)


def _through_telephone(samples: Samples, low_tones: Gains) -> Samples:
    # An even number, or half a sample would be stretched over the whole.
    samples = np.pad(samples, (0, len(samples) % 2))
    spectrum = np.fft.rfft(samples)
    frequencies = np.fft.rfftfreq(len(samples), 1 / RATE)
    spectrum *= low_tones(np.asarray(frequencies, np.float64)) * (frequencies <= 3400)
    passed = np.fft.irfft(spectrum, len(samples)).astype(np.float32)
    return resample(passed, len(passed) * _TELEPHONE_RATE // RATE)


def _audible(samples: Samples) -> NDArray[np.bool_]:
    """Say for each 5 ms whether it can be heard beside the loudest of them."""
    blocks = -(-len(samples) // _BLOCK)
    padded = np.pad(samples, (0, blocks * _BLOCK - len(samples))).astype(np.float64)
    energy = np.mean(padded.reshape(blocks, _BLOCK) ** 2, axis=1)
    return np.asarray(energy > energy.max() * 10 ** (_SILENCE_DB / 10))


def _write(path: Path, samples: Samples, codec: str, rate: int) -> None:
    layout = "mono" if len(samples) == 1 else "stereo"
    pcm = np.clip(np.round(samples * 32768), -32768, 32767).astype(np.int16)
    interleaved = np.ascontiguousarray(pcm.T.reshape(1, -1))
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        # The types of PyAV know few codecs by name.
        assert isinstance(stream, AudioStream)
        frame = av.AudioFrame.from_ndarray(interleaved, "s16", layout)
        frame.sample_rate = rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
