"""The control groups of the testbed: every process it starts, pods too, is found through them."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from hack.testbed.errors import TestbedError
from hack.testbed.layout import CGROUP
from hack.testbed.mounts import mounts
from hack.testbed.processes import wait_until

__all__ = ["kill_all", "make", "member_pids", "remove", "system_procs"]

_KILL_SECONDS: Final = 30.0
_REMOVE_SECONDS: Final = 10.0


def make() -> None:
    """Make the control groups that are not there yet."""
    for root in _roots():
        (root / CGROUP).mkdir(exist_ok=True)
    system_procs().parent.mkdir(exist_ok=True)


def system_procs() -> Path:
    """Return the file through which a component enters its control group.

    It is one without controllers where there is such a hierarchy: components are found by it, and
    what limits this session's own processes goes on limiting them.
    """
    unified = [Path(mount.point) for mount in mounts() if mount.kind == "cgroup2"]
    root = unified[0] if unified else next(iter(_roots()))
    return root / CGROUP / "system" / "cgroup.procs"


def member_pids() -> set[int]:
    """Return the pids of everything that runs in the testbed, containers too."""
    return {
        int(pid)
        for group in _groups()
        for pid in _read(group / "cgroup.procs").split()
        # Zero stands for a process that this one's process namespace does not show.
        if int(pid) > 0
    }


def kill_all() -> None:
    """Kill everything that runs in the testbed. Raises TestbedError where something stays."""

    def none_left() -> bool:
        pids = member_pids()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not pids

    if not wait_until(none_left, _KILL_SECONDS):
        raise TestbedError(
            f"processes {sorted(member_pids())} are still there {_KILL_SECONDS:g} s after SIGKILL: "
            "they wait for the kernel; look at their stacks in /proc, then take it down again"
        )


def remove() -> None:
    """Remove the empty control groups. Raises TestbedError where one cannot be."""

    def none_left() -> bool:
        for group in _groups():
            with suppress(OSError):
                group.rmdir()
        return not any(_groups())

    if not wait_until(none_left, _REMOVE_SECONDS):
        left = ", ".join(str(group) for group in _groups())
        raise TestbedError(f"control groups are still busy: {left}; take the testbed down again")


def _roots() -> list[Path]:
    # The same hierarchy may be mounted twice.
    points = (mount.point for mount in mounts() if mount.kind in {"cgroup", "cgroup2"})
    return [Path(point) for point in dict.fromkeys(points)]


def _groups() -> Iterator[Path]:
    """Yield the testbed's control groups in every hierarchy, children before parents."""
    for root in _roots():
        for folder, _, _ in os.walk(root / CGROUP, topdown=False):
            yield Path(folder)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (FileNotFoundError, OSError):
        return ""
