"""How much memory a device has, and how many windows it takes at once."""

import ctypes
import logging
from typing import Final, Literal

from whisperfleet.engine.interface import DeviceMemory

__all__ = [
    "CPU_BATCH",
    "MAX_BATCH",
    "choose_batch_size",
    "gpu_memory",
    "windows_that_fit",
]

log = logging.getLogger(__name__)

# More than this shares the decoder's weights no better on GPUs up to an A10G, and a batch is what
# everyone else waits for.
MAX_BATCH: Final = 32
# On two cores 1.2 times as fast as 8, and 24 are no faster (docs/benchmarks.md, Recognition).
CPU_BATCH: Final = 16

# A window of large-v3-turbo: activations, the cache of its cross-attention (30.7 MB in float16) and
# five hypotheses of 448 tokens. Models with more decoder layers need more: then the batch is halved
# when memory runs out, which the warm-up finds before the first job does.
_BYTES_PER_WINDOW: Final = 220_000_000
# What kernels, cuBLAS and the allocator take for themselves.
_RESERVED_BYTES: Final = 1_000_000_000

# CUresult of success, in every call of the driver's interface.
_SUCCESS: Final = 0


def choose_batch_size(device: Literal["cpu", "cuda"]) -> int:
    """Return how many windows a device takes at once. To be asked once the model is loaded."""
    if device == "cpu":
        return CPU_BATCH
    try:
        free = gpu_memory().free
    except OSError as error:
        log.warning(
            "the GPU's free memory cannot be read (%s), so batches begin at %d windows and are "
            "halved when it runs out; set the batch size if you know it",
            error,
            MAX_BATCH,
        )
        return MAX_BATCH
    return windows_that_fit(free)


def windows_that_fit(free_bytes: int) -> int:
    """Return how many windows the free memory of a GPU holds, from 1 to `MAX_BATCH`."""
    return max(1, min(MAX_BATCH, (free_bytes - _RESERVED_BYTES) // _BYTES_PER_WINDOW))


def gpu_memory() -> DeviceMemory:
    """Return the memory of the first GPU that the process sees, from libcuda.

    The driver knows of CUDA_VISIBLE_DEVICES and of shared GPUs, which a look at all GPUs of the
    machine does not. For any thread. Raises OSError where a call fails.
    """
    driver = ctypes.CDLL("libcuda.so.1")
    device, context = ctypes.c_int(), ctypes.c_void_p()
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    _call(driver, "cuInit", 0)
    _call(driver, "cuDeviceGet", ctypes.byref(device), 0)
    # The context in which CTranslate2 has loaded the model; retained here, and let go again.
    _call(driver, "cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
    try:
        _call(driver, "cuCtxPushCurrent_v2", context)
        try:
            _call(driver, "cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        finally:
            _call(driver, "cuCtxPopCurrent_v2", ctypes.byref(ctypes.c_void_p()))
    finally:
        _call(driver, "cuDevicePrimaryCtxRelease_v2", device)
    return DeviceMemory(free.value, total.value)


def _call(driver: ctypes.CDLL, name: str, *arguments: object) -> None:
    result = getattr(driver, name)(*arguments)
    if result != _SUCCESS:
        raise OSError(f"{name} of the CUDA driver answered {result}")
