"""What an NVIDIA GPU could do at best, for the shape of large-v3-turbo."""

import subprocess
from dataclasses import dataclass
from typing import Final

__all__ = ["Gpu", "find_gpu", "least_seconds"]

# large-v3-turbo in float16, computed from its shape: the encoder's operations for a window, the
# decoder's weights that each step reads, and the cache of cross-attention that it reads for each
# sequence of the batch.
_ENCODER_FLOP: Final = 2.27e12
_DECODER_BYTES: Final = 316e6
_CACHE_BYTES: Final = 30.7e6

# Dense float16 with float32 sums, and memory bandwidth, from NVIDIA's data sheets.
_DEVICES: Final = {
    "T4": (65e12, 320e9),
    "L4": (121e12, 300e9),
    "A10": (125e12, 600e9),
    "A100": (312e12, 1555e9),
    "H100": (989e12, 3350e9),
    "H200": (989e12, 4800e9),
}


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU that is known here: operations and bytes a second."""

    name: str
    flop_per_second: float
    bytes_per_second: float


def find_gpu() -> Gpu | str:
    """Return the first GPU, or why the limit of none can be computed."""
    try:
        name = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "not run: this machine has no NVIDIA GPU"
    for word in reversed(name.replace("-", " ").split()):
        if word.rstrip("G") in _DEVICES:
            return Gpu(name, *_DEVICES[word.rstrip("G")])
    return f"not run: the limit of {name} is not known; add it to hack/bench/gpu.py"


def least_seconds(gpu: Gpu, tokens: int, batch_size: int) -> float:
    """Return the least time for a window: all operations and all bytes at the data sheet's rate."""
    step_bytes = _DECODER_BYTES / batch_size + _CACHE_BYTES
    return _ENCODER_FLOP / gpu.flop_per_second + tokens * step_bytes / gpu.bytes_per_second
