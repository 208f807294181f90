"""`whisperfleet worker` with an engine that does what a job's prompt says before it recognises.

``sleep S`` takes S seconds more for each window, ``hold S`` keeps the interpreter lock so long, and
``gate PATH`` waits until there is such a file. It looks for expired leases four times a second and
for a SIGTERM five times; everything else is the worker as it is.
"""

import ctypes
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from whisperfleet.cli import main
from whisperfleet.engine import Answer
from whisperfleet.engine.ctranslate2 import load
from whisperfleet.engine.ctranslate2.features import MelWindow
from whisperfleet.engine.ctranslate2.whisper import WhisperEngine
from whisperfleet.worker.build import build_worker
from whisperfleet.worker.loading import load_engine
from whisperfleet.worker.process import run_worker
from whisperfleet.worker.settings import WorkerSettings

LOOK_SECONDS = 0.005


class DirectedEngine(WhisperEngine):
    """The engine of the worker, preceded by what the prompt of each window says."""

    def run(self, windows: Sequence[MelWindow]) -> list[Answer]:
        for window in windows:
            obey(window.request.prompt or "")
        return super().run(windows)


def obey(prompt: str) -> None:
    order, _, value = prompt.partition(" ")
    match order:
        case "sleep":
            time.sleep(float(value))
        case "hold":
            # PyDLL, unlike CDLL, calls with the lock held: nothing else in the process moves.
            ctypes.PyDLL(None).usleep(int(float(value) * 1e6))
        case "gate":
            while not Path(value).exists():
                time.sleep(LOOK_SECONDS)


def work(settings: WorkerSettings) -> int:
    policy = replace(settings.queue_policy, reclaim_seconds=0.25)
    build = partial(
        build_worker,
        engine=partial(load_engine, load=partial(load, kind=DirectedEngine)),
        wait_seconds=0.2,
    )
    return run_worker(replace(settings, queue_policy=policy), build)


if __name__ == "__main__":
    main(work)
