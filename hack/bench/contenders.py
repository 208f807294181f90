"""Four ways from the same files to words, with the same model and the same number of tokens."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import ctranslate2
import numpy as np
from faster_whisper import BatchedInferencePipeline, WhisperModel
from faster_whisper.audio import decode_audio, pad_or_trim
from faster_whisper.feature_extractor import FeatureExtractor
from faster_whisper.vad import VadOptions, collect_chunks, get_speech_timestamps
from numpy.typing import NDArray

from hack.bench.fleet import Fleet
from whisperfleet.client import Client
from whisperfleet.contract.job import Job
from whisperfleet.contract.states import State

__all__ = [
    "TOKENS",
    "BareLoops",
    "Contender",
    "EndToEnd",
    "Library",
    "OneByOne",
    "Pipeline",
    "Setup",
    "library_prep_seconds",
]

# Tokens of every text: about what half a minute of English has (75 words).
TOKENS: Final = 112
_BEAM: Final = 5
_START: Final = [50258, 50259, 50359]  # start of transcript, English, transcribe
# The detector's settings of the worker, so that all hear the same speech.
_VAD: Final[dict[str, Any]] = {"min_silence_duration_ms": 500, "speech_pad_ms": 400}
_WAIT_SECONDS: Final = 900.0


@dataclass(frozen=True, slots=True)
class Setup:
    """The model that all contenders run, and where."""

    model: Path
    device: str
    compute_type: str
    cpu_threads: int
    batch_size: int

    def load(self) -> WhisperModel:
        """Return the library's model."""
        return WhisperModel(
            str(self.model),
            device=self.device,
            compute_type=self.compute_type,
            cpu_threads=self.cpu_threads,
        )


class Contender(Protocol):
    """Something that recognises files."""

    name: str

    def run(self, files: Sequence[Path]) -> float:
        """Return the seconds from the first file to the last word."""


class OneByOne:
    """`WhisperModel.transcribe`, one file after the other: what most services do."""

    name = "library, one by one"

    def __init__(self, setup: Setup) -> None:
        self.threads = setup.cpu_threads
        self._model = setup.load()

    def run(self, files: Sequence[Path]) -> float:
        """Return the seconds from the first file to the last word."""
        began = time.perf_counter()
        for file in files:
            segments, _ = self._model.transcribe(str(file), **_settings())
            assert all(len(segment.tokens) == TOKENS for segment in segments), "another length"
        return time.perf_counter() - began


class Pipeline:
    """`BatchedInferencePipeline`, which batches within a file."""

    name = "library, batched"

    def __init__(self, setup: Setup) -> None:
        self.threads = setup.cpu_threads
        self._pipeline = BatchedInferencePipeline(setup.load())
        self._batch_size = setup.batch_size

    def run(self, files: Sequence[Path]) -> float:
        """Return the seconds from the first file to the last word."""
        began = time.perf_counter()
        for file in files:
            segments, _ = self._pipeline.transcribe(
                str(file), batch_size=self._batch_size, without_timestamps=False, **_settings()
            )
            assert all(len(segment.tokens) == TOKENS for segment in segments), "another length"
        return time.perf_counter() - began


def _settings() -> dict[str, Any]:
    return {
        "language": "en",
        "beam_size": _BEAM,
        "temperature": 0.0,
        "condition_on_previous_text": False,
        "vad_filter": True,
        "vad_parameters": dict(_VAD),
        # CTranslate2 halves what it is given, see `engine.decoding`.
        "max_new_tokens": 2 * TOKENS - len(_START),
    }


def library_prep_seconds(file: Path) -> float:
    """Return the seconds from a file to its features by the library's own steps."""
    extractor = FeatureExtractor()
    began = time.perf_counter()
    samples = decode_audio(str(file))
    chunks, _ = collect_chunks(samples, get_speech_timestamps(samples, VadOptions(**_VAD)))
    extractor(np.concatenate(chunks))
    return time.perf_counter() - began


Library = OneByOne | Pipeline


class BareLoops:
    """`encode` and `generate`, a window at a time on each core: no detector, no rules, no text."""

    name = "bare loops, one a core"

    def __init__(self, setup: Setup) -> None:
        self._loops = max(1, setup.cpu_threads)
        self._model = ctranslate2.models.Whisper(
            str(setup.model),
            device=setup.device,
            compute_type=setup.compute_type,
            inter_threads=self._loops,
            intra_threads=1,
        )
        self._extractor = FeatureExtractor(feature_size=self._model.n_mels)

    def run(self, files: Sequence[Path]) -> float:
        """Return the seconds from the first file to the last token."""
        began = time.perf_counter()
        with ThreadPoolExecutor(self._loops) as loops:
            for _ in loops.map(self._recognise, self._windows(files)):
                pass
        return time.perf_counter() - began

    def _windows(self, files: Sequence[Path]) -> Iterator[NDArray[np.float32]]:
        for file in files:
            features = self._extractor(decode_audio(str(file)))[..., :-1]
            for start in range(0, features.shape[-1], 3000):
                yield pad_or_trim(features[:, start : start + 3000])[None]

    def _recognise(self, window: NDArray[np.float32]) -> None:
        features = ctranslate2.StorageView.from_array(np.ascontiguousarray(window))
        encoded = self._model.encode(features)
        self._model.generate(encoded, [_START], beam_size=_BEAM, max_length=2 * TOKENS)


class EndToEnd:
    """The product: jobs into Redis, results out of it."""

    name = "Whisperfleet, end to end"

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def run(self, files: Sequence[Path]) -> float:
        """Return the seconds from the first job's submission to the last one's result."""
        with Client(self._fleet.server.settings, self._fleet.queue_id) as client:
            began = time.perf_counter()
            jobs = [client.submit(Job(url=file.as_uri(), language="en")) for file in files]
            results = client.wait(jobs, timeout_seconds=_WAIT_SECONDS)
            for _, result in results:
                assert result is not None
                assert result.state is State.DONE, result.error
            return time.perf_counter() - began
