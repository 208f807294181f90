"""What is mounted, and taking away what lies under a folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hack.testbed.commands import run_command

__all__ = ["Mount", "mounts", "unmount_below"]

_MOUNTINFO: Final = Path("/proc/self/mountinfo")


@dataclass(frozen=True, slots=True)
class Mount:
    """A mount: where it is and of which kind of file system."""

    point: str
    kind: str


def mounts() -> list[Mount]:
    """Return what is mounted, in the order in which it was."""
    found = []
    for line in _MOUNTINFO.read_text().splitlines():
        placement, _, source = line.partition(" - ")
        # Blanks in names are written as octal numbers.
        point = placement.split()[4].encode().decode("unicode_escape")
        found.append(Mount(point, source.split()[0]))
    return found


def unmount_below(folder: Path) -> None:
    """Unmount everything under a folder, the last mounted first.

    One that is in use is detached, and goes when its last user does. Raises TestbedError where one
    cannot be.
    """
    for mount in reversed(mounts()):
        if folder in Path(mount.point).parents:
            run_command(
                ["umount", "--lazy", mount.point],
                "unmount it by hand and take the testbed down again",
            )
