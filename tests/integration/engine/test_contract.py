"""What the worker counts on holds for every engine that there is, and for a toy."""

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest

from support.engine import toy
from support.engine.fixtures import spoken
from whisperfleet.contract.job import Task
from whisperfleet.contract.languages import LANGUAGES
from whisperfleet.engine import Engine, Unsettled, Window, WindowRequest, WindowResult
from whisperfleet.engine.options import DecodingOptions
from whisperfleet.engine.registry import EngineLoader, engine_names, load_engine
from whisperfleet.errors import ConfigurationError, JobError
from whisperfleet.segmentation.pcm import to_float
from whisperfleet.settings import EngineName, EngineSettings

LOADERS: dict[str, EngineLoader] = dict.fromkeys(engine_names(), load_engine) | {"toy": toy.load}


def load(name: str) -> Engine[Any]:
    settings = replace(EngineSettings("demo", device="cpu", cpu_threads=1))
    if name in engine_names():
        settings = replace(settings, engine=name)
    return LOADERS[name](settings, DecodingOptions())


@pytest.fixture(scope="module", params=LOADERS)
def engine(request: pytest.FixtureRequest):
    one = load(request.param)
    one.warm_up()
    yield one
    one.close()


def window(name: str = "hello-world", language: str | None = "en", **changed) -> Window:
    samples = to_float(spoken(name)[: 30 * 16_000])
    return Window(samples, WindowRequest(language), language, **changed)


def answered(engine: Engine[Any], *windows: Window) -> list[WindowResult]:
    answers = engine.run([engine.prepare(one) for one in windows])
    while left := [at for at, one in enumerate(answers) if isinstance(one, Unsettled)]:
        again = engine.retry([answers[at] for at in left])
        for at, answer in zip(left, again, strict=True):
            answers[at] = answer
    assert not [one for one in answers if isinstance(one, JobError)]
    return answers


def test_every_engine_is_tried():
    assert set(get_args(EngineName)) | {"toy"} == set(LOADERS)


def test_it_says_what_it_is(engine: Engine[Any]):
    assert engine.model.name
    assert engine.batch_size >= 1
    assert "en" in engine.capabilities.languages
    assert engine.capabilities.languages <= LANGUAGES
    assert engine.cache_key == engine.cache_key != ""
    memory = engine.device_memory()
    assert memory is None or 0 <= memory.free <= memory.total


def test_a_prepared_window_has_its_length_and_not_its_samples(engine: Engine[Any]):
    one = window()
    prepared = engine.prepare(one)
    assert prepared.seconds == pytest.approx(one.seconds)
    held = [value for name in dir(prepared) if (value := getattr(prepared, name)) is one.samples]
    assert not held


def test_answers_are_in_the_order_of_the_windows_and_within_them(engine: Engine[Any]):
    windows = [window(), window("music"), window("hello-world")]
    first, other, again = answered(engine, *windows)
    assert first.segments
    assert (first.segments, first.language) == (again.segments, "en")
    assert first.segments != other.segments
    for one, answer in zip(windows, (first, other, again), strict=True):
        assert 0 < answer.consumed_frames <= one.frames
        assert all(0 <= part.start <= part.end <= one.seconds + 1 for part in answer.segments)


def test_its_own_pieces_are_text_that_may_precede_a_window(engine: Engine[Any]):
    (first,) = answered(engine, window())
    pieces = tuple(piece for part in first.segments for piece in part.pieces)
    assert pieces
    assert all(isinstance(piece, str) for piece in pieces)
    (after,) = answered(engine, window("music", previous=pieces, carry=first.carry))
    assert after.segments


def test_what_it_can_do_it_does(engine: Engine[Any]):
    able = engine.capabilities
    audio = to_float(spoken("hello-world")[: 30 * 16_000])
    for task in (Task.TRANSCRIBE, *([Task.TRANSLATE] if able.translate else [])):
        request = WindowRequest("en", task, word_timestamps=able.words)
        (answer,) = answered(engine, Window(audio, request, "en"))
        assert answer.segments
        assert all((part.words is not None) == able.words for part in answer.segments)


def test_no_audio_has_no_words(engine: Engine[Any]):
    empty = Window(np.empty(0, np.float32), WindowRequest("en"), "en")
    (answer,) = answered(engine, empty)
    assert (answer.segments, answer.consumed_frames) == ((), 0)


def test_a_name_that_no_engine_has_is_refused_with_those_there_are():
    settings = EngineSettings("demo")
    object.__setattr__(settings, "engine", "none")
    with pytest.raises(ConfigurationError, match=r"no engine 'none'; choose from ctranslate2"):
        load_engine(settings, DecodingOptions())
