"""What the parts of a worker are to each other. Any object with these methods will do."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from whisperfleet.audio.decoder import DecoderPool
from whisperfleet.audio.fetch import Fetcher
from whisperfleet.contract.result import ModelInfo, Result
from whisperfleet.engine import Capabilities, Engine
from whisperfleet.queue import Claim
from whisperfleet.segmentation import SegmentationOptions
from whisperfleet.worker.batcher import Batcher
from whisperfleet.worker.cache import TranscriptCache
from whisperfleet.worker.control import JobControl
from whisperfleet.worker.settings import WorkerSettings

__all__ = [
    "Clock",
    "EngineFactory",
    "Leases",
    "LoadedEngine",
    "MachineWatch",
    "Pipeline",
    "PipelineFactory",
]

Clock: TypeAlias = Callable[[], float]
"""Seconds that only grow, from any beginning, as `time.monotonic`."""


class Pipeline(Protocol):
    """What carries a claim out."""

    def run(self, claim: Claim, control: JobControl) -> Result:
        """Return the result of a claim; `JobPipeline.run` says what it may raise."""


class PipelineFactory(Protocol):
    """What makes a pipeline of the parts that are shared by all jobs in flight."""

    def __call__(
        self,
        *,
        fetcher: Fetcher,
        decoders: DecoderPool,
        engine: Batcher,
        segmentation: SegmentationOptions,
        cache: TranscriptCache,
        model: ModelInfo,
        able: Capabilities,
        scratch: Path,
    ) -> Pipeline:
        """Return a pipeline."""


class Leases(Protocol):
    """What keeps the leases of the jobs in flight; see `LeaseKeeper`. Safe between threads."""

    @property
    def seconds_since_renewal(self) -> float:
        """For how long leases have not been renewed."""

    def claiming(self) -> AbstractContextManager[None]:
        """Enter it for a claim, up to `hold`."""

    def step(self) -> None:
        """Say that some job has come further."""

    def hold(self, claim: Claim, control: JobControl) -> None:
        """Renew a lease from now on, until the job's time is up."""

    def drop(self, claim: Claim) -> None:
        """Renew a lease no more."""


class MachineWatch(Protocol):
    """What looks after the machine; see `Machine`. Safe between threads."""

    def blame(self, error: BaseException) -> None:
        """Note what the machine lacks, where that is behind an error; else nothing."""


@dataclass(frozen=True, slots=True)
class LoadedEngine:
    """An engine that is loaded and warm, and what is to be told of it.

    `recipe` is what words depend on beside the audio and the job.
    """

    engine: Engine[Any]
    recipe: str


EngineFactory: TypeAlias = Callable[[WorkerSettings], LoadedEngine]
"""Loads the engine that the settings ask for. Raises StartupError where it cannot."""
