"""`make try`: somebody's own recording through a server, a worker and a model."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from whisperfleet.demo.clips import demo_clips

ROOT = Path(__file__).parents[3]


def try_it(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "hack.try_it", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_the_words_of_recordings_with_their_times_and_the_command_for_the_next(tmp_path: Path):
    clip, other = demo_clips()[:2]
    # A name that a shell and an address both have to escape.
    named = shutil.copy(clip.path, tmp_path / f"my talk's 1% é{clip.path.suffix}")
    done = try_it("--model", "demo", str(named), str(other.path))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert all(re.match(r"\d\d:\d\d\.\d\d - \d\d:\d\d\.\d\d  \S", line) for line in lines)
    said = " ".join(line.partition("  ")[2] for line in lines)
    assert said.split() == [*clip.words, *other.words]
    assert f"{named}: " in done.stderr
    assert "make try FILE=" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ((), 2, "no file is named"),
        (("no/such.ogg",), 2, "no/such.ogg is no file"),
        (("--model", "demo", "README.md"), 1, "not_audio"),
        (("--model", "no/such/model", "README.md"), 2, "no/such/model"),
    ],
    ids=["none", "not there", "no audio", "no model"],
)
def test_what_cannot_be_tried_is_named(arguments: tuple[str, ...], code: int, says: str):
    done = try_it(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr
