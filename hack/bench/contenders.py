"""Four ways from the same files to words, with the same model and the same number of tokens."""

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import ctranslate2
import numpy as np
import tokenizers
from faster_whisper import BatchedInferencePipeline, WhisperModel
from faster_whisper.audio import decode_audio, pad_or_trim
from faster_whisper.feature_extractor import FeatureExtractor
from faster_whisper.transcribe import Segment
from faster_whisper.vad import VadOptions, collect_chunks, get_speech_timestamps
from numpy.typing import NDArray

from hack.bench.figures import BATCHED, BEAM, FLEET, LOOPS, ONE_BY_ONE, TOKENS
from hack.bench.fleet import Fleet

__all__ = [
    "BareLoops",
    "Contender",
    "EndToEnd",
    "Library",
    "OneByOne",
    "Pipeline",
    "Run",
    "Setup",
    "WorkError",
    "library_prep_seconds",
    "start_tokens",
]

# The detector's settings of the worker, so that all hear the same speech.
_VAD: Final[dict[str, Any]] = {"min_silence_duration_ms": 500, "speech_pad_ms": 400}


class WorkError(RuntimeError):
    """A contender did not do the work that all are to do."""


@dataclass(frozen=True, slots=True)
class Run:
    """Seconds from the first file to the last word, and each file's windows and text.

    The texts are empty where a contender makes none of its tokens.
    """

    seconds: float
    windows: tuple[int, ...]
    texts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Setup:
    """The model that all contenders run, where, and the temperatures that they try."""

    model: Path
    device: str
    compute_type: str
    cpu_threads: int
    temperatures: tuple[float, ...] = (0.0,)

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

    def run(self, files: Sequence[Path]) -> Run:
        """Recognise the files. Raises WorkError or FleetError where that is not what it did."""


class OneByOne:
    """`WhisperModel.transcribe`, one file after the other: what most services do."""

    name = ONE_BY_ONE

    def __init__(self, setup: Setup) -> None:
        self._model = setup.load()
        self._settings = _settings(setup)

    def run(self, files: Sequence[Path]) -> Run:
        """Recognise the files."""
        began = time.perf_counter()
        heard = [list(self._model.transcribe(str(file), **self._settings)[0]) for file in files]
        return _library_run(time.perf_counter() - began, files, heard)


class Pipeline:
    """`BatchedInferencePipeline`, which batches within a file and tries one temperature."""

    name = BATCHED

    def __init__(self, setup: Setup, batch_size: int) -> None:
        self._pipeline = BatchedInferencePipeline(setup.load())
        self._settings = {
            **_settings(setup),
            "batch_size": batch_size,
            "without_timestamps": False,
        }

    def run(self, files: Sequence[Path]) -> Run:
        """Recognise the files."""
        began = time.perf_counter()
        heard = [list(self._pipeline.transcribe(str(file), **self._settings)[0]) for file in files]
        return _library_run(time.perf_counter() - began, files, heard)


Library = OneByOne | Pipeline


def _settings(setup: Setup) -> dict[str, Any]:
    return {
        "language": "en",
        "beam_size": BEAM,
        "temperature": list(setup.temperatures),
        "condition_on_previous_text": False,
        "max_initial_timestamp": 0.0,
        "vad_filter": True,
        "vad_parameters": dict(_VAD),
        # CTranslate2 halves what it is given, see `engine.decoding`.
        "max_new_tokens": 2 * TOKENS - len(start_tokens(setup.model)),
    }


def _library_run(seconds: float, files: Sequence[Path], heard: Sequence[Sequence[Segment]]) -> Run:
    """Return a run of the library, whose every window is one segment of `TOKENS` tokens."""
    for file, segments in zip(files, heard, strict=True):
        _require_tokens(file.name, [len(segment.tokens) for segment in segments])
    return Run(
        seconds,
        tuple(len(segments) for segments in heard),
        tuple(_joined(segment.text for segment in segments) for segments in heard),
    )


def _require_tokens(name: str, lengths: Sequence[int]) -> None:
    """Raise WorkError unless there are windows, all with as many tokens as they may have."""
    if not lengths or set(lengths) != {TOKENS}:
        raise WorkError(f"{name} has windows of {list(lengths)} tokens, not of {TOKENS} each")


def _joined(texts: Iterable[str]) -> str:
    return " ".join(text.strip() for text in texts)


def library_prep_seconds(file: Path) -> float:
    """Return the seconds from a file to its features by the library's own steps."""
    extractor = FeatureExtractor()
    began = time.perf_counter()
    samples = decode_audio(str(file))
    chunks, _ = collect_chunks(samples, get_speech_timestamps(samples, VadOptions(**_VAD)))
    extractor(np.concatenate(chunks))
    return time.perf_counter() - began


def start_tokens(model: Path) -> list[int]:
    """Return the ids of a model that ask for an English transcript, which its size decides."""
    tokenizer = tokenizers.Tokenizer.from_file(str(model / "tokenizer.json"))
    names = ("startoftranscript", "en", "transcribe")
    found = [tokenizer.token_to_id(f"<|{name}|>") for name in names]
    return [token for token in found if token is not None]


class BareLoops:
    """`encode` and `generate`, a window at a time on each core: no detector, no rules, no text."""

    name = LOOPS

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
        self._start = start_tokens(setup.model)

    def run(self, files: Sequence[Path]) -> Run:
        """Recognise the files."""
        windows = [0] * len(files)
        began = time.perf_counter()
        with ThreadPoolExecutor(self._loops) as loops:
            for number, tokens in loops.map(self._recognise, self._windows(files)):
                _require_tokens(files[number].name, [tokens])
                windows[number] += 1
        return Run(time.perf_counter() - began, tuple(windows))

    def _windows(self, files: Sequence[Path]) -> Iterator[tuple[int, NDArray[np.float32]]]:
        for number, file in enumerate(files):
            features = self._extractor(decode_audio(str(file)))[..., :-1]
            for start in range(0, features.shape[-1], 3000):
                yield number, pad_or_trim(features[:, start : start + 3000])[None]

    def _recognise(self, numbered: tuple[int, NDArray[np.float32]]) -> tuple[int, int]:
        number, window = numbered
        features = ctranslate2.StorageView.from_array(np.ascontiguousarray(window))
        encoded = self._model.encode(features)
        (row,) = self._model.generate(encoded, [self._start], beam_size=BEAM, max_length=2 * TOKENS)
        return number, len(row.sequences_ids[0])


class EndToEnd:
    """The product: jobs into Redis, results out of it."""

    name = FLEET

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def run(self, files: Sequence[Path]) -> Run:
        """Recognise the files."""
        seconds, results = self._fleet.recognise(files)
        heard = [result.transcript.segments for result in results if result.transcript]
        # No text has a timestamp but the first, so that a window is one segment here too.
        return Run(
            seconds,
            tuple(len(segments) for segments in heard),
            tuple(_joined(segment.text for segment in segments) for segments in heard),
        )
