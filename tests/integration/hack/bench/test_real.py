"""Real weights: whisper.cpp says what the library says, and words stand beside speed."""

import json
import os
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from hack.bench.contest import build_model
from hack.bench.figures import (
    FLEET,
    ONE_BY_ONE,
    SEQUENTIAL,
    WHISPER_CPP,
    Peak,
    Race,
    RealReport,
    Report,
    Rounds,
)
from hack.bench.ggml import convert
from hack.bench.operations import Operations, measure_peak
from hack.bench.real_contenders import Heard, one_by_one
from hack.bench.real_contest import RealGround
from hack.bench.real_races import REAL_TRIAL, aimed_clips, real_races
from hack.bench.real_report import real_figures, real_table
from hack.bench.report import tables
from hack.bench.whisper_cpp import PACKAGE, ggml_file, running_whisper_cpp
from hack.real.corpus.build import build_part
from hack.real.errors import GroundError
from hack.real.models import TINY, model_folder
from hack.real.normalise import words_of
from hack.real.packages import Wheel, unpacked
from whisperfleet.contract.result import Segment, Transcript

ROOT = Path(__file__).parents[4]
REAL = RealReport(
    TINY,
    {ONE_BY_ONE: 2},
    Peak(1e11, 0.9e11),
    missing={},
    races=(
        Race(
            "clips of 21 s",
            {
                ONE_BY_ONE: Rounds(2, 42.0, 0, (4.0, 4.0), 100, 1),
                SEQUENTIAL: Rounds(2, 42.0, 2, (2.0, 2.0), 100, 1, 1e11),
                FLEET: Rounds(2, 42.0, 2, (2.0, 2.0), 100, 2, 1e11),
            },
            compared=2,
            alike=1,
        ),
    ),
)


@pytest.fixture(scope="module", autouse=True)
def weights() -> Path:
    """Real weights, from the cache or from where pip of this machine fetches packages."""
    try:
        return model_folder(TINY)
    except GroundError as error:
        if os.environ.get("REQUIRE_WEIGHTS"):
            raise
        pytest.skip(str(error))


@pytest.fixture
def one_core():
    """Let this process and its children have one core: there is no number of threads to choose."""
    all_of_them = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(all_of_them)})
    yield
    os.sched_setaffinity(0, all_of_them)


@pytest.mark.timeout(300)  # half a minute of processor time, on one core that others use too
@pytest.mark.usefixtures("one_core")
def test_a_trial_has_everyones_words_beside_the_speed(tmp_path: Path):
    figures, drawn = tmp_path / "figures.json", tmp_path / "figures.svg"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "hack.bench.recognition", "--trial", "--only", "real-clips"),
            *("--json", str(figures), "--picture", str(drawn)),
        ],
        check=False,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(figures.read_text())
    real = found["real"]
    assert (found["failed"], real["missing"], real["model"]) == ({}, {}, TINY)
    assert set(real["threads"].values()) == {1}
    one, two = real["races"]
    assert one["contenders"].keys() == {*real["threads"], SEQUENTIAL, FLEET}
    assert (one["contenders"][FLEET]["files"], two["contenders"][FLEET]["files"]) == (1, 2)
    for name, rounds in two["contenders"].items():
        assert rounds["words"] > 5, name
        assert rounds["wrong"] == 0, name
    assert two["contenders"][FLEET]["windows"] == 2
    assert two["contenders"][FLEET]["flop"] > 0
    assert (two["compared"], two["alike"]) == (2, 2)
    assert "x, 0.00 %" in drawn.read_text().replace(" % wrong", " %")


def test_the_converted_weights_say_the_same_words(weights: Path):
    files = [one.path for one in build_part("clips", REAL_TRIAL.extent)[:2]]
    theirs = one_by_one(weights, 1).run(files)
    with running_whisper_cpp(ggml_file(TINY), 1, unpacked(PACKAGE)) as rival:
        ours = rival.run(files)
    assert [words_of(text) for text in ours.texts] == [words_of(text) for text in theirs.texts]
    assert all(map(words_of, ours.texts))


def test_weights_that_are_not_float16_are_refused(tmp_path: Path):
    model = build_model("micro", "int8", tmp_path)
    with pytest.raises(GroundError, match=r"keeps its weights in .*; only float16 is converted"):
        convert(model, tmp_path / "model.ggml")


def test_a_file_that_is_no_whisper_model_is_refused(tmp_path: Path):
    (tmp_path / "model.bin").write_bytes(bytes(16))
    with pytest.raises(GroundError, match="is of binary version 0 and holds something else, not a"):
        convert(tmp_path, tmp_path / "model.ggml")


def test_weights_that_whisper_cpp_cannot_read_are_an_error_with_its_log(tmp_path: Path):
    damaged = tmp_path / "model.ggml"
    damaged.write_bytes(bytes(64))
    with (
        pytest.raises(GroundError, match=r"(?s)whisper.cpp ended with exit code .*bad magic"),
        running_whisper_cpp(damaged, 1, unpacked(PACKAGE)),
    ):
        pass


def test_a_rival_that_cannot_be_had_is_named_and_the_others_run(tmp_path: Path):
    pins = tmp_path / "requirements.txt"
    pins.write_text("other==1.0\n")
    ground = RealGround(TINY, tuple, tries=1, package=Wheel("pywhispercpp", pins))
    assert WHISPER_CPP not in ground.rivals
    assert ONE_BY_ONE in ground.rivals
    assert "does not pin pywhispercpp: add it with its hash" in ground.missing[WHISPER_CPP]
    real = replace(REAL, missing=ground.missing)
    rows = ["; ".join(row) for row in real_figures(real)]
    assert any(row.startswith(f"{TINY}: {WHISPER_CPP}; not run: ") for row in rows)
    assert "not run" in real_table(real, 2).rows[0]


def test_a_number_of_threads_that_is_far_behind_is_tried_once(monkeypatch):
    ran: list[int] = []

    class Slower:
        name = ONE_BY_ONE

        def __init__(self, threads: int) -> None:
            self.threads = threads

        def run(self, files):
            ran.append(self.threads)
            return Heard(float(self.threads**2), tuple("" for _ in files))

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    ground = RealGround(TINY, tuple, tries=3)
    ground.__dict__["rivals"] = {ONE_BY_ONE: lambda threads: nullcontext(Slower(threads))}
    assert ground.threads == {ONE_BY_ONE: 1}
    assert ran == [1, 1, 1, 1, 2]


def test_words_are_counted_over_all_rounds_and_files_again():
    clips = aimed_clips(REAL_TRIAL)

    class Reader:
        def __init__(self, name: str, text: str) -> None:
            self.name, self.text = name, text

        def run(self, files):
            return Heard(1.0, (self.text,) * len(files), len(files), 5.0)

    right = clips[0].text
    contenders = [Reader(ONE_BY_ONE, right), Reader(FLEET, "Um, " + right)]
    plan = replace(REAL_TRIAL, rounds=3)
    (race,) = real_races(plan)["real-21s"](contenders, lambda _: None)
    said = len(words_of(right))
    ours, theirs = race.contenders[FLEET], race.contenders[ONE_BY_ONE]
    assert (ours.words, ours.wrong, theirs.wrong) == (3 * said, 3, 0)
    assert ours.error_rate == pytest.approx(100 / said)
    assert (race.compared, race.alike) == (3, 0)
    assert (ours.windows, ours.flop_per_second) == (1, 5.0)


def test_the_operations_of_large_v3_turbo_are_those_of_its_data_sheet():
    """What `hack/bench/gpu.py` has of its shape was computed apart from this."""
    turbo = Operations(1280, 128, 32, 4, 51_866, Path())
    assert turbo.window == pytest.approx(2.27e12 + 39.3e9, rel=0.005)
    # Two operations for each of the decoder's weights but those of the window's keys and values,
    # and four for each of 1,500 positions and 1,280 channels that a layer looks at.
    weights = 4 * (4 + 2 + 8) * 1280**2 + 1280 * 51_866
    assert turbo.token == pytest.approx(2 * weights + 4 * 4 * 1500 * 1280)


def test_the_operations_of_a_transcript_grow_with_its_words(weights: Path):
    operations = Operations.of_model(weights)
    assert (operations.width, operations.encoder_layers, operations.vocabulary) == (384, 4, 51_864)
    few, many = (operations.of_work(1, [said(text)]) for text in ("One.", "One two three four."))
    assert few - operations.window == pytest.approx(5 * 5 * operations.token)
    assert many - few == pytest.approx(3 * 5 * operations.token)


def test_the_peak_of_all_cores_is_that_of_one_or_more():
    peak = measure_peak()
    assert peak.most >= peak.one_thread > 1e8


def test_the_page_and_its_table_have_words_and_shares():
    (table, figures) = tables(Report({"cores": 2}, gpu="not run", real=REAL))
    assert "tiny.en on 2 cores" in table.title
    assert "| clips of 21 s (2 files, 42 s) | 21.0 x, 2.00 % |" in table.to_markdown()
    assert "10.5 x, 1.00 %; 2.00 (2.00 to 2.00) | not run | not run |" in table.to_markdown()
    assert "| 50% | 1 of 2 |" in table.to_markdown()
    rows = {row[0]: row[1:] for row in figures.rows}
    wrong = f"tiny.en, clips of 21 s: {FLEET}, wrong words"
    assert rows[wrong] == ("2.00 %", "at most the library's and 0.5: 1.50 %", "no")
    assert rows[f"tiny.en, clips of 21 s: {FLEET}, to {ONE_BY_ONE}"][1:] == ("2.2 or more", "no")


def said(text: str) -> Transcript:
    segment = Segment(
        start=0.0,
        end=1.0,
        text=text,
        avg_logprob=0.0,
        no_speech_prob=0.0,
        compression_ratio=1.0,
        temperature=0.0,
    )
    return Transcript(
        text=text,
        language="en",
        language_probability=1.0,
        duration=1.0,
        duration_after_vad=1.0,
        segments=(segment,),
    )
