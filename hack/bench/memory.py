"""What a window of a batch costs in memory: ``python -m hack.bench.memory MODEL DEVICE SIZE``.

The program runs one batch and prints the most bytes that were taken meanwhile: its own on a CPU,
the device's on a GPU, where nothing else should run.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

import numpy as np

from hack.bench.figures import BEAM, TOKENS, Memory
from whisperfleet.engine import Window, WindowRequest
from whisperfleet.engine.ctranslate2.capacity import gpu_memory
from whisperfleet.engine.ctranslate2.models import resolve_model
from whisperfleet.engine.ctranslate2.whisper import WhisperEngine
from whisperfleet.engine.options import DecodingOptions
from whisperfleet.errors import JobError
from whisperfleet.worker.host_memory import keep_host_memory

__all__ = ["measure_memory", "most_while"]

_KIB: Final = 1024
_LOOK_SECONDS: Final = 0.005

Device = Literal["cpu", "cuda"]


def measure_memory(model: Path, device: Device, sizes: Sequence[int]) -> Memory:
    """Run one batch of each size, each in a process of its own."""
    return Memory(
        {
            size: int(
                subprocess.run(
                    [sys.executable, "-m", "hack.bench.memory", str(model), device, str(size)],
                    cwd=Path(__file__).parents[2],
                    env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
                    check=True,
                    stdout=subprocess.PIPE,
                    text=True,
                ).stdout
            )
            for size in sizes
        }
    )


@contextmanager
def most_while(read: Callable[[], int]) -> Iterator[list[int]]:
    """Look at a figure again and again; the list holds the most of it once the context is left."""
    most = [read()]
    done = threading.Event()

    def look() -> None:
        while not done.wait(_LOOK_SECONDS):
            most[0] = max(most[0], read())

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield most
    finally:
        done.set()
        thread.join()


def _run_one_batch(model: Path, device: Device, size: int) -> int:
    keep_host_memory()
    options = DecodingOptions(
        beam_size=BEAM, temperatures=(0.0,), tokens_per_second=0.0, tokens_per_window=TOKENS
    )
    engine = WhisperEngine.load(resolve_model(str(model)), device, options=options, batch_size=size)
    silence = Window(np.zeros(30 * 16_000, np.float32), WindowRequest("en"), "en")
    windows = [engine.prepare(silence)] * size
    with most_while(_used_gpu_bytes if device == "cuda" else _peak_bytes) as most:
        for answer in engine.run(windows):
            if isinstance(answer, JobError):
                raise answer
    return most[0] if device == "cuda" else _peak_bytes()


def _used_gpu_bytes() -> int:
    memory = gpu_memory()
    return memory.total - memory.free


def _peak_bytes() -> int:
    """Return the most memory that this program has had resident.

    getrusage would count what the process was before it became this program: its parent's size.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * _KIB


if __name__ == "__main__":
    print(
        _run_one_batch(
            Path(sys.argv[1]), "cuda" if sys.argv[2] == "cuda" else "cpu", int(sys.argv[3])
        )
    )
