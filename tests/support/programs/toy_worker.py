"""`whisperfleet worker` with the toy engine, which can do little and says when it is closed."""

import logging
from collections.abc import Sequence
from functools import partial

from support.engine.toy import Loudness, ToyEngine
from whisperfleet.cli import main
from whisperfleet.engine import Answer
from whisperfleet.engine.options import DecodingOptions
from whisperfleet.settings import EngineSettings
from whisperfleet.worker.build import build_worker
from whisperfleet.worker.loading import load_engine
from whisperfleet.worker.process import run_worker
from whisperfleet.worker.settings import WorkerSettings

log = logging.getLogger(__name__)


class TellingEngine(ToyEngine):
    """Tells the log of its batches and of its end. Audio that is silent breaks the device."""

    def __init__(self, *, can_be_closed: bool) -> None:
        super().__init__()
        self._can_be_closed = can_be_closed

    def run(self, windows: Sequence[Loudness]) -> list[Answer]:
        log.info("batch begun")
        if any(window.loudest == 0 for window in windows):
            raise RuntimeError("the toy is broken")
        answers = super().run(windows)
        log.info("batch ended")
        return answers

    def warm_up(self) -> None:
        """Nothing is needed."""

    def close(self) -> None:
        super().close()
        log.info("engine closed")
        if not self._can_be_closed:
            raise OSError("the toy cannot be put away")


def load(settings: EngineSettings, _decoding: DecodingOptions) -> TellingEngine:
    return TellingEngine(can_be_closed=settings.compute_type != "stuck")


def work(settings: WorkerSettings) -> int:
    return run_worker(settings, partial(build_worker, engine=partial(load_engine, load=load)))


if __name__ == "__main__":
    main(work)
