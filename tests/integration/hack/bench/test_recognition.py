"""The program: a stage that fails leaves the others' figures, and a short run goes through."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hack.bench import recognition
from hack.bench.cublas import MissingError
from hack.bench.figures import Report
from hack.bench.gpu import Gpu
from hack.bench.recognition import FULL, run_stages

ROOT = Path(__file__).parents[4]
BEGUN = Report({}, gpu="not run")


def test_a_stage_that_fails_leaves_the_others_and_is_named():
    kept: list[Report] = []

    def startup(report: Report) -> Report:
        return replace(report, startup_seconds=(*report.startup_seconds, 1.0))

    def fail(_: Report) -> Report:
        raise OSError("no room")

    stages = {"one": startup, "gpu": fail, "two": startup}
    found = run_stages(stages, BEGUN, kept.append, lambda _: None)
    assert found.startup_seconds == (1.0, 1.0)
    assert found.failed == {"gpu": "OSError: no room"}
    assert found.gpu == "failed: OSError: no room"
    assert [len(report.startup_seconds) for report in kept] == [1, 1, 2], "kept after each stage"


def test_a_person_who_stops_it_keeps_what_was_measured():
    kept: list[Report] = []

    def stop(_: Report) -> Report:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_stages({"one": lambda report: report, "two": stop}, BEGUN, kept.append, lambda _: None)
    assert len(kept) == 1


def test_a_full_run_is_bounded():
    """Windows that contenders decode, by seconds a window on two quiet cores."""
    slow, fast = 0.86, 0.35  # the rivals; the fleet
    shared = [*FULL.mixed, *FULL.long, *FULL.long_and_short]
    windows = sum(-(-seconds // 30) for seconds in shared)
    rivals = 3 * (windows + len(FULL.alike)) * slow
    fleet = (windows + sum(FULL.counts)) * fast
    assert FULL.rounds == 5
    assert FULL.rounds * (rivals + fleet) < 22 * 60
    assert FULL.counts == (1, 8, 32, 128)
    assert len(FULL.alike) >= 32
    assert max(FULL.long) >= 600


@pytest.fixture
def one_core():
    """Let this process and its children have one core: there is no number of threads to choose."""
    all_of_them = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(all_of_them)})
    yield
    os.sched_setaffinity(0, all_of_them)


@pytest.mark.timeout(300)  # half a minute of processor time, on one core that others use too
@pytest.mark.usefixtures("one_core")
def test_a_trial_goes_through_and_writes_everything_down(tmp_path: Path):
    figures, drawn = tmp_path / "figures.json", tmp_path / "figures.svg"
    # A machine without a GPU, whatever this one has.
    environment = {**os.environ, "PATH": str(tmp_path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "hack.bench.recognition", "--trial"),
            *("--only", "gpu", "mixed", "memory"),
            *("--json", str(figures), "--picture", str(drawn)),
        ],
        check=False,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not run: this machine has no NVIDIA GPU" in done.stdout
    assert "clips of 2 to 30 s" in done.stdout
    found = json.loads(figures.read_text())
    assert found["failed"] == {}
    assert (found["facts"]["shape"], found["facts"]["cores"]) == ("micro", 1)
    assert found["races"][0]["compared"] == found["races"][0]["alike"] == 2
    assert found["memory"]["peak_bytes"].keys() == {"1", "2"}
    assert drawn.read_text().startswith("<svg")


def test_a_trial_whose_gpu_fails_ends_with_one_and_its_figures(tmp_path: Path, monkeypatch, capsys):
    figures = tmp_path / "figures.json"
    monkeypatch.setattr(sys, "argv", ["bench", "--trial", "--only", "gpu", "--json", str(figures)])
    monkeypatch.setattr(recognition, "find_gpu", lambda: Gpu("NVIDIA H200"))
    monkeypatch.setattr(recognition, "require_cuda", fail_for_want_of_cublas)
    with pytest.raises(SystemExit, match="failed: gpu"):
        recognition.main()
    assert "libcublas is missing" in json.loads(figures.read_text())["gpu"]
    assert "failed: MissingError: libcublas is missing" in capsys.readouterr().out


def fail_for_want_of_cublas() -> None:
    raise MissingError("libcublas is missing")
