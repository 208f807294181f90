import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hack.testbed.errors import TestbedError
from hack.testbed.processes import Process, launch, stop, wait_until


@pytest.fixture
def cgroup_procs(tmp_path: Path) -> Path:
    """A file in the place of a control group's: writing to it is all that launching does."""
    path = tmp_path / "cgroup.procs"
    path.touch()
    return path


@pytest.fixture
def sleeper(tmp_path: Path, cgroup_procs: Path) -> Iterator[Process]:
    process = launch(["sleep", "600"], {}, tmp_path / "log", cgroup_procs)
    yield process
    if process.is_alive:
        os.kill(process.pid, signal.SIGKILL)


def test_a_launched_process_outlives_its_launcher_and_is_found_again(
    tmp_path: Path, sleeper: Process
) -> None:
    sleeper.write(tmp_path / "pids" / "sleeper")

    found = Process.read(tmp_path / "pids" / "sleeper")

    assert found == sleeper
    assert found.is_alive
    # The pid is known a moment before setsid has run.
    assert wait_until(lambda: os.getsid(sleeper.pid) != os.getsid(0), 10)


def test_no_process_is_read_where_none_is_recorded(tmp_path: Path) -> None:
    assert Process.read(tmp_path / "nothing") is None


def test_the_output_and_the_environment_are_those_asked_for(
    tmp_path: Path, cgroup_procs: Path
) -> None:
    log = tmp_path / "logs" / "log"
    process = launch(
        ["sh", "-c", "echo $GREETING; echo to stderr >&2; exec sleep 600"],
        {"GREETING": "good morning"},
        log,
        cgroup_procs,
    )
    try:
        assert wait_until(lambda: "to stderr" in log.read_text(), 10)
        assert log.read_text().splitlines() == ["good morning", "to stderr"]
        assert cgroup_procs.read_text() == "0\n"
    finally:
        os.kill(process.pid, signal.SIGKILL)


def test_stopping_waits_for_the_end(sleeper: Process) -> None:
    stop(sleeper, grace_seconds=10)

    assert not sleeper.is_alive


def test_one_that_ignores_the_request_is_killed(tmp_path: Path, cgroup_procs: Path) -> None:
    log = tmp_path / "log"
    process = launch(
        ["sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 600; done"], {}, log, cgroup_procs
    )
    assert wait_until(lambda: "deaf" in log.read_text(), 10)

    stop(process, grace_seconds=0.2)

    assert not process.is_alive


def test_another_process_with_the_same_pid_is_left_alone(sleeper: Process) -> None:
    earlier = replace(sleeper, started=sleeper.started - 1)

    assert not earlier.is_alive
    stop(earlier, grace_seconds=0.2)

    assert sleeper.is_alive


def test_a_control_group_that_cannot_be_entered_is_named(tmp_path: Path) -> None:
    with pytest.raises(TestbedError, match=r"control group .*/missing takes no process"):
        launch(["sleep", "600"], {}, tmp_path / "log", tmp_path / "missing" / "cgroup.procs")
