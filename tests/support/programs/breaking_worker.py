"""`whisperfleet worker` with a device that breaks as CUDA does: once one call failed, all do.

A window whose prompt is ``break PATH`` breaks it, unless there is a file at that path by now; one
whose prompt is ``break`` breaks it each time.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from whisperfleet.cli import main
from whisperfleet.engine import Answer
from whisperfleet.engine.ctranslate2 import load
from whisperfleet.engine.ctranslate2.features import MelWindow
from whisperfleet.engine.ctranslate2.whisper import WhisperEngine
from whisperfleet.engine.ctranslate2.words import WordKeepingModel
from whisperfleet.worker.build import build_worker
from whisperfleet.worker.loading import load_engine
from whisperfleet.worker.process import run_worker
from whisperfleet.worker.settings import WorkerSettings


class Device:
    """A loaded model whose calls fail from the moment that it is broken."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.broken = False

    def __getattr__(self, name: str) -> Any:
        member = getattr(self.model, name)
        if self.broken and callable(member):
            raise RuntimeError("CUDA failed with error an illegal memory access was encountered")
        return member


class BreakingEngine(WhisperEngine):
    """The engine of the worker, on such a device."""

    def __init__(self, model: WordKeepingModel, *arguments: Any) -> None:
        model.model = self.on = Device(model.model)
        super().__init__(model, *arguments)

    def run(self, windows: Sequence[MelWindow]) -> list[Answer]:
        for window in windows:
            order, _, path = (window.request.prompt or "").partition(" ")
            if order == "break" and not (path and Path(path).exists()):
                self.on.broken = True
                if path:
                    Path(path).touch()
        return super().run(windows)


def work(settings: WorkerSettings) -> int:
    return run_worker(
        settings,
        partial(build_worker, engine=partial(load_engine, load=partial(load, kind=BreakingEngine))),
    )


if __name__ == "__main__":
    main(work)
