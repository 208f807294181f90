"""Samples as decoders give them, and as models take them."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["to_float"]


def to_float(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """Return samples in [-1, 1), exactly as `faster_whisper.decode_audio` gives them."""
    return samples.astype(np.float32) / np.float32(32768)
