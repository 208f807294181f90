"""What an NVIDIA GPU could do with the shape of large-v3-turbo: at best, and within reach."""

import subprocess
from dataclasses import dataclass
from typing import Final

__all__ = ["ATTAINABLE", "DATA_SHEET", "Gpu", "Shares", "find_gpu", "seconds_per_window"]

# large-v3-turbo in float16, computed from its shape. Operations of a window: the encoder, and the
# keys and values of cross-attention, which are made once.
_WINDOW_FLOP: Final = 2.27e12 + 39.3e9
# The encoder's scores of attention (32 layers, 20 heads, 1500 by 1500 positions): written and read
# twice each where kernels do not fuse them.
_SCORES_BYTES: Final = 4 * 32 * 20 * 1500 * 1500 * 2
# What a step of the decoder reads: its weights, once for the whole batch; for each window the cache
# of cross-attention; for each hypothesis the cache of its own tokens.
_WEIGHTS_BYTES: Final = 316e6
_CROSS_BYTES: Final = 30.7e6
_TOKEN_BYTES: Final = 4 * 2 * 1280 * 2


@dataclass(frozen=True, slots=True)
class Shares:
    """How much of a data sheet is reached, and the least seconds that a step of decoding takes."""

    flop: float
    bandwidth: float
    step_seconds: float
    fused: bool


# Nothing is faster than this.
DATA_SHEET: Final = Shares(flop=1.0, bandwidth=1.0, step_seconds=0.0, fused=True)
# What good kernels reach in practice; launching those of four layers takes a millisecond a step.
ATTAINABLE: Final = Shares(flop=0.35, bandwidth=0.70, step_seconds=0.001, fused=False)


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU, and its data sheet where that is known here: operations and bytes a second."""

    name: str
    flop_per_second: float | None = None
    bytes_per_second: float | None = None


# Dense float16 with float32 sums, and memory bandwidth, from the makers' data sheets, by words of
# the name that nvidia-smi gives. The first that fits counts.
_DATA_SHEETS: Final = (
    ("H200 NVL", 835e12, 4800e9),
    ("H200", 989e12, 4800e9),
    ("H100 PCIe", 756e12, 2000e9),
    ("H100 NVL", 835e12, 3900e9),
    ("H100", 989e12, 3350e9),
    ("A100 SXM4 80GB", 312e12, 2039e9),
    ("A100 80GB", 312e12, 1935e9),
    ("A100", 312e12, 1555e9),
    ("A10G", 70e12, 600e9),
    ("A10", 125e12, 600e9),
    ("L4", 121e12, 300e9),
    ("T4", 65e12, 320e9),
)


def find_gpu() -> Gpu | str:
    """Return the first GPU, or that there is none."""
    try:
        name = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "not run: this machine has no NVIDIA GPU"
    words = set(name.replace("-", " ").split())
    for model, flop, bandwidth in _DATA_SHEETS:
        if words.issuperset(model.split()):
            return Gpu(name, flop, bandwidth)
    return Gpu(name)


def seconds_per_window(
    gpu: Gpu, shares: Shares, batch_size: int, beam: int, tokens: int
) -> float | None:
    """Return the time for a window where so many are decoded together; None: no data sheet.

    `beam` hypotheses are followed to `tokens` tokens each.
    """
    if gpu.flop_per_second is None or gpu.bytes_per_second is None:
        return None
    flop = gpu.flop_per_second * shares.flop
    bandwidth = gpu.bytes_per_second * shares.bandwidth
    encoding = _WINDOW_FLOP / flop + (0 if shares.fused else _SCORES_BYTES / bandwidth)
    # A hypothesis is half as long as in the end, on average.
    window_bytes = _CROSS_BYTES + beam * _TOKEN_BYTES * tokens / 2
    step = max(shares.step_seconds, (_WEIGHTS_BYTES + batch_size * window_bytes) / bandwidth)
    return encoding + tokens * step / batch_size
