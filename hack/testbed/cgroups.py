"""The control groups of the testbed: every process it starts, pods too, is found through them."""

import os
import signal
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from hack.testbed.errors import TestbedError
from hack.testbed.layout import CGROUP
from hack.testbed.mounts import mounts
from hack.testbed.processes import wait_until

__all__ = [
    "delegated_controllers",
    "kill_all",
    "make",
    "member_pids",
    "remove",
    "system_procs",
    "take_back_controllers",
]

_KILL_SECONDS: Final = 30.0
_REMOVE_SECONDS: Final = 10.0
# What the kubelet limits pods with; on a machine with version 1 each has a hierarchy of its own.
_CONTROLLERS: Final = ("cpu", "cpuset", "hugetlb", "memory", "pids")
_DELEGATED: Final = "cgroup.subtree_control"


def make() -> None:
    """Make the control groups that are not there yet, with the controllers that the kubelet needs.

    Raises TestbedError where the machine does not give them away.
    """
    for root in _roots():
        (root / CGROUP).mkdir(exist_ok=True)
    for root in _unified_roots():
        _delegate(root)
        _delegate(root / CGROUP)
    system_procs().parent.mkdir(exist_ok=True)


def delegated_controllers() -> list[str]:
    """Return the controllers that control groups at the top of version 2 have already."""
    return [name for root in _unified_roots() for name in _words(root / _DELEGATED)]


def take_back_controllers(before: Collection[str]) -> None:
    """Undo what `make` did at the top; what others use by now stays."""
    for root in _unified_roots():
        for name in _CONTROLLERS:
            if name in _words(root / _DELEGATED) and name not in before:
                with suppress(OSError):
                    (root / _DELEGATED).write_text(f"-{name}")


def _delegate(group: Path) -> None:
    """Let the children of a control group of version 2 have what it has itself.

    It has none on a machine whose controllers are in hierarchies of version 1.
    """
    has, gives = _words(group / "cgroup.controllers"), _words(group / _DELEGATED)
    lacking = [name for name in _CONTROLLERS if name in has and name not in gives]
    if not lacking:
        return
    try:
        (group / _DELEGATED).write_text(" ".join(f"+{name}" for name in lacking))
    except OSError as error:
        raise TestbedError(
            f"the kubelet needs the controllers {', '.join(lacking)} below {group}, which does "
            f"not give them ({error.strerror}): it cannot while processes are in it itself, as in "
            f"a container. {group / 'cgroup.procs'} names them; run the testbed on the machine "
            "itself"
        ) from error


def system_procs() -> Path:
    """Return the file through which a component enters its control group.

    It is one without controllers where there is such a hierarchy: components are found by it, and
    what limits this session's own processes goes on limiting them.
    """
    root = next(iter([*_unified_roots(), *_roots()]))
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


def _unified_roots() -> list[Path]:
    """Return where version 2 is mounted: nowhere, once, or in several places."""
    points = (mount.point for mount in mounts() if mount.kind == "cgroup2")
    return [Path(point) for point in dict.fromkeys(points)]


def _groups() -> Iterator[Path]:
    """Yield the testbed's control groups in every hierarchy, children before parents."""
    for root in _roots():
        for folder, _, _ in os.walk(root / CGROUP, topdown=False):
            yield Path(folder)


def _words(path: Path) -> list[str]:
    return _read(path).split()


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (FileNotFoundError, OSError):
        return ""
