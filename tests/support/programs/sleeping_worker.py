"""`whisperfleet worker` with an engine that takes a GPU's time and no processor: 10 ms a window."""

import time
from collections.abc import Sequence
from functools import partial

from whisperfleet.cli import main
from whisperfleet.engine import Answer, WindowResult
from whisperfleet.engine.ctranslate2 import load
from whisperfleet.engine.ctranslate2.features import MelWindow
from whisperfleet.engine.ctranslate2.whisper import WhisperEngine
from whisperfleet.worker.build import build_worker
from whisperfleet.worker.loading import load_engine
from whisperfleet.worker.process import run_worker
from whisperfleet.worker.settings import WorkerSettings

# About what an H200 takes for a window of large-v3-turbo's shape in a batch, computed.
SECONDS_PER_WINDOW = 0.01
NO_WORDS = WindowResult((), 0, "en", 1.0, 0.0, 0.0, 0.0, 0.0)


class SleepingEngine(WhisperEngine):
    """Loads the model it is given, for its size, and never runs it."""

    def run(self, windows: Sequence[MelWindow]) -> list[Answer]:
        time.sleep(SECONDS_PER_WINDOW * len(windows))
        return [NO_WORDS] * len(windows)


def work(settings: WorkerSettings) -> int:
    return run_worker(
        settings,
        partial(build_worker, engine=partial(load_engine, load=partial(load, kind=SleepingEngine))),
    )


if __name__ == "__main__":
    main(work)
