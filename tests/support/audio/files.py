"""Audio for tests: the bundled clips, and files that no worker should like."""

import io
import json
import wave
from pathlib import Path

import numpy as np

import whisperfleet.demo

CLIPS = Path(whisperfleet.demo.__file__).parent / "data" / "clips"


def clips() -> list[tuple[bytes, str]]:
    """Return the bundled clips of at most ten seconds with what is said in each."""
    manifest = json.loads((CLIPS / "clips.json").read_text())
    return [
        ((CLIPS / clip["file"]).read_bytes(), " ".join(clip["words"]))
        for clip in manifest
        if clip["seconds"] <= 10
    ]


def wav(samples: np.ndarray, rate: int = 16_000) -> bytes:
    """Return 16-bit samples of shape (n,) or (n, channels) as a WAV file."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return buffer.getvalue()


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    """Return quiet white noise as 16-bit samples."""
    generator = np.random.default_rng(seed)
    return generator.normal(0, 300, int(seconds * 16_000)).astype(np.int16)
