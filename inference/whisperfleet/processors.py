"""How many processors this process may use, which in a container is not how many there are."""

import os
from collections.abc import Iterator
from math import ceil
from pathlib import Path
from typing import Final

__all__ = ["usable_processors"]

_CGROUPS: Final = Path("/sys/fs/cgroup")
_MEMBERSHIP: Final = Path("/proc/self/cgroup")


def usable_processors(cgroups: Path = _CGROUPS, membership: Path = _MEMBERSHIP) -> int:
    """Return the number of processors, at least 1; a part of one counts as one.

    The least of what the process is confined to (`sched_getaffinity`) and of the quotas of its
    control groups, of either version, that are mounted at `cgroups`; `membership` names the groups.
    """
    return min([len(os.sched_getaffinity(0)), *map(ceil, _quotas(cgroups, membership))])


def _quotas(cgroups: Path, membership: Path) -> Iterator[float]:
    """Yield each quota that applies, in processors."""
    for folder in _folders(cgroups, membership):
        quota, period = _read_version_2(folder) or _read_version_1(folder) or (0, 1)
        if quota > 0 and period > 0:
            yield quota / period


def _folders(cgroups: Path, membership: Path) -> Iterator[Path]:
    """Yield the folders of the process's groups and of those above them.

    In a container the names are often not those that it sees: its own group is the mount itself.
    """
    for line in _read(membership).splitlines():
        # cgroups(7): hierarchy:controllers:path, without controllers in version 2.
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = cgroups / controllers
        own = mount / path.lstrip("/")
        yield own
        yield from (above for above in own.parents if above.is_relative_to(mount))


def _read_version_2(folder: Path) -> tuple[int, int] | None:
    match _read(folder / "cpu.max").split():
        case [quota, period] if quota != "max":
            return int(quota), int(period)
    return None


def _read_version_1(folder: Path) -> tuple[int, int] | None:
    quota, period = (_read(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    return (int(quota), int(period)) if quota and period else None


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""
