"""Ways from the same files to words with real weights, each as it is by default."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from faster_whisper import BatchedInferencePipeline, WhisperModel

from hack.bench.figures import BATCHED, BEAM, ONE_BY_ONE
from hack.bench.fleet import Fleet
from hack.bench.operations import Operations
from whisperfleet.engine.ctranslate2.capacity import CPU_BATCH

__all__ = ["EndToEnd", "Heard", "Library", "RealContender", "batched", "one_by_one"]

# All are told the language; the detector ends speech after as long a silence as the worker's.
_OPTIONS: Final[Mapping[str, Any]] = {
    "language": "en",
    "beam_size": BEAM,
    "vad_filter": True,
    "vad_parameters": {"min_silence_duration_ms": 500},
}


@dataclass(frozen=True, slots=True)
class Heard:
    """Seconds from the first file to the last word, and the text of each file.

    `windows` and `flop`, the operations, are 0 where they are not known.
    """

    seconds: float
    texts: tuple[str, ...]
    windows: int = 0
    flop: float = 0.0


class RealContender(Protocol):
    """Something that recognises files."""

    name: str

    def run(self, files: Sequence[Path]) -> Heard:
        """Recognise the files. Raises FleetError or GroundError where it cannot."""


class Library:
    """faster-whisper on some threads, in one of its two ways, one file after the other."""

    def __init__(
        self,
        name: str,
        way: WhisperModel | BatchedInferencePipeline,
        more: Mapping[str, Any],
    ) -> None:
        self.name = name
        self._way = way
        self._options = {**_OPTIONS, **more}

    def run(self, files: Sequence[Path]) -> Heard:
        """Recognise the files."""
        began = time.perf_counter()
        texts = tuple(self._text(file) for file in files)
        return Heard(time.perf_counter() - began, texts)

    def _text(self, file: Path) -> str:
        segments, _ = self._way.transcribe(str(file), **self._options)
        return " ".join(segment.text.strip() for segment in segments)


def one_by_one(model: Path, threads: int) -> Library:
    """Return `WhisperModel.transcribe`, with its fallback and its prompts."""
    return Library(ONE_BY_ONE, _loaded(model, threads), {})


def batched(model: Path, threads: int) -> Library:
    """Return `BatchedInferencePipeline`, which batches within a file, with its timestamps."""
    way = BatchedInferencePipeline(_loaded(model, threads))
    return Library(BATCHED, way, {"batch_size": CPU_BATCH, "without_timestamps": False})


def _loaded(model: Path, threads: int) -> WhisperModel:
    return WhisperModel(str(model), device="cpu", cpu_threads=threads)


class EndToEnd:
    """The product: jobs into Redis, results out of it."""

    def __init__(self, name: str, fleet: Fleet, operations: Operations) -> None:
        self.name = name
        self._fleet = fleet
        self._operations = operations

    def run(self, files: Sequence[Path]) -> Heard:
        """Recognise the files, all at once."""
        before = self._windows()
        seconds, results = self._fleet.recognise(files)
        transcripts = [result.transcript for result in results if result.transcript]
        windows = self._windows() - before
        return Heard(
            seconds,
            tuple(transcript.text for transcript in transcripts),
            windows,
            self._operations.of_work(windows, transcripts),
        )

    def _windows(self) -> int:
        return int(self._fleet.counted("whisperfleet_windows_total"))
