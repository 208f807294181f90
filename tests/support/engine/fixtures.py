"""Models for the tests of the engine and of the segmenters."""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faster_whisper import WhisperModel
from faster_whisper.audio import decode_audio

from hack.random_model.build import SHAPES, build_random_model
from support.engine.synthetic import Samples
from whisperfleet.contract.job import Task
from whisperfleet.engine import (
    Engine,
    Unsettled,
    Window,
    WindowRequest,
    WindowResult,
    WindowSegment,
)
from whisperfleet.engine.ctranslate2.features import MelWindow, compute_features
from whisperfleet.engine.ctranslate2.models import ResolvedModel, resolve_model
from whisperfleet.engine.ctranslate2.tokens import to_tokens
from whisperfleet.engine.ctranslate2.whisper import WhisperEngine
from whisperfleet.engine.ctranslate2.words import WordKeepingModel
from whisperfleet.engine.options import DecodingOptions
from whisperfleet.errors import JobError
from whisperfleet.segmentation.pcm import to_float

# Random weights rarely end a text. The library has no bound on the tokens of a short window, so a
# comparison with it must not have one either; and sampling would differ from run to run.
AS_THE_LIBRARY = DecodingOptions(tokens_per_window=448, temperatures=(0.0,))


@pytest.fixture(scope="session")
def micro_model(tmp_path_factory: pytest.TempPathFactory) -> ResolvedModel:
    """A multilingual model with random weights that runs a window in some 50 ms.

    Its weights are float32: with 8-bit activations, the last bit of a feature decides what a model
    that was never trained says.
    """
    path = tmp_path_factory.mktemp("models") / "micro"
    return resolve_model(str(build_random_model(SHAPES["micro"], path, "float32")))


@pytest.fixture(scope="session")
def engine(micro_model: ResolvedModel) -> WhisperEngine:
    """An engine on the CPU that decodes as the library does."""
    return WhisperEngine.load(micro_model, "cpu", cpu_threads=1, options=AS_THE_LIBRARY)


@pytest.fixture(scope="session")
def library(micro_model: ResolvedModel) -> WhisperModel:
    """The same model in the library's own hands."""
    return load_library(micro_model.path)


def load_library(path: Path, compute_type: str = "default") -> WhisperModel:
    """Return faster-whisper's own model, but for the words that it loses (see `engine.words`)."""
    return WordKeepingModel(str(path), device="cpu", compute_type=compute_type, cpu_threads=1)


def spoken(name: str) -> Samples:
    """Return the samples of a clip of the demo, as a decoder gives them."""
    clip = files("whisperfleet").joinpath("demo", "data", "clips", f"{name}.ogg")
    samples: Samples = (decode_audio(str(clip)) * 32768).astype(np.int16)
    return samples


def mel_window(
    samples: Samples, request: WindowRequest, language: str | None = None, mels: int = 80
) -> MelWindow:
    """Return audio that stands for itself as the encoder takes it."""
    features, loudest = compute_features(Window(to_float(samples), request), mels)
    return MelWindow(features, request, language, loudest=loudest)


def tokens_of(engine: WhisperEngine, segment: WindowSegment) -> tuple[int, ...]:
    """Return the tokens that a segment was made of."""
    return to_tokens(segment.pieces, engine._tokenizer("en", Task.TRANSCRIBE))


def settle(
    engine: Engine[Any], windows: Sequence[Window | MelWindow]
) -> list[WindowResult | JobError]:
    """Run windows through the engine until each has its answer."""
    answers = engine.run(
        [engine.prepare(one) if isinstance(one, Window) else one for one in windows]
    )
    while left := {at: one for at, one in enumerate(answers) if isinstance(one, Unsettled)}:
        for at, answer in zip(left, engine.retry([*left.values()]), strict=True):
            answers[at] = answer
    return [one for one in answers if not isinstance(one, Unsettled)]
