"""The rivals do the work that they are measured by."""

import wave
from pathlib import Path

import pytest

from hack.bench.audio import write_clip
from hack.bench.contenders import BareLoops, OneByOne, Pipeline, Setup, WorkError, start_tokens
from hack.bench.contest import build_model
from hack.random_model.build import Shape, build_random_model


@pytest.fixture(scope="module")
def setup(tmp_path_factory) -> Setup:
    folder = tmp_path_factory.mktemp("model")
    return Setup(build_model("micro", "int8", folder), "cpu", "int8", cpu_threads=1)


@pytest.mark.parametrize(("languages", "transcribe"), [(99, 50359), (100, 50360)])
def test_the_start_asks_for_a_transcript_whatever_the_vocabulary(
    tmp_path: Path, languages: int, transcribe: int
):
    shape = Shape(64, 1, 1, 1, languages=languages)
    assert start_tokens(build_random_model(shape, tmp_path)) == [50258, 50259, transcribe]


def test_every_rival_hears_each_file(setup: Setup, tmp_path: Path):
    files = [write_clip(tmp_path / f"{seconds}.ogg", seconds, seed=1) for seconds in (2, 4)]
    one, batched, loops = (
        rival.run(files) for rival in (OneByOne(setup), Pipeline(setup, 2), BareLoops(setup))
    )
    assert one.windows == batched.windows == loops.windows == (1, 1)
    # The pipeline knows no latest first timestamp, so that its random texts are others.
    assert all(one.texts)
    assert all(batched.texts)


def test_a_file_without_words_is_no_work(setup: Setup, tmp_path: Path):
    silence = tmp_path / "silence.wav"
    write_silence(silence)
    with pytest.raises(WorkError, match=r"silence\.wav has windows of \[\] tokens, not of 112"):
        OneByOne(setup).run([silence])


def write_silence(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(2 * 16_000))
