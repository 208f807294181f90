"""Confined to some processors, or to a share of their time, a process takes no more than that."""

from pathlib import Path

import pytest

from whisperfleet import processors
from whisperfleet.processors import usable_processors

VERSION_2 = "0::/pods/one\n"
VERSION_1 = "5:memory:/pods/one\n4:cpu,cpuacct:/pods/one\n0::/\n"


@pytest.fixture(autouse=True)
def eight(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that may run on eight processors."""
    monkeypatch.setattr(processors.os, "sched_getaffinity", lambda _: set(range(8)))


def count(folder: Path, groups: str, files: dict[str, str]) -> int:
    """Return the processors that are usable where the files of control groups are these."""
    membership = folder / "membership"
    membership.write_text(groups)
    for name, text in files.items():
        file = folder / "cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
    return usable_processors(folder / "cgroup", membership)


@pytest.mark.parametrize(
    ("files", "processors"),
    [
        ({}, 8),
        ({"pods/one/cpu.max": "max 100000"}, 8),
        ({"pods/one/cpu.max": "100000 100000"}, 1),
        ({"pods/one/cpu.max": "50000 100000"}, 1),
        ({"pods/one/cpu.max": "250000 100000"}, 3),
        ({"pods/one/cpu.max": "6400000 100000"}, 8),
        # The group above bounds the one below, and may itself be the mount, as in a container.
        ({"pods/one/cpu.max": "max 100000", "pods/cpu.max": "400000 100000"}, 4),
        ({"pods/one/cpu.max": "300000 100000", "pods/cpu.max": "400000 100000"}, 3),
        ({"cpu.max": "200000 100000"}, 2),
    ],
)
def test_version_2(tmp_path: Path, files: dict[str, str], processors: int):
    assert count(tmp_path, VERSION_2, files) == processors


@pytest.mark.parametrize(
    ("group", "quota", "processors"),
    [("pods/one", "-1", 8), ("pods/one", "150000", 2), ("pods", "100000", 1), ("", "50000", 1)],
)
def test_version_1(tmp_path: Path, group: str, quota: str, processors: int):
    folder = f"cpu,cpuacct/{group}"
    files = {f"{folder}/cpu.cfs_quota_us": quota, f"{folder}/cpu.cfs_period_us": "100000"}
    assert count(tmp_path, VERSION_1, files) == processors


def test_where_there_are_no_control_groups(tmp_path: Path):
    assert usable_processors(tmp_path / "none", tmp_path / "none") == 8


def test_this_machine():
    assert 1 <= usable_processors() <= 8
