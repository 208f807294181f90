"""The state folder: which one is the testbed's to fill and to remove."""

import shutil
from contextlib import suppress
from pathlib import Path

from hack.testbed.errors import TestbedError
from hack.testbed.layout import STATE_VARIABLE, Layout

__all__ = ["remove_state", "require_own_state"]


def require_own_state(layout: Layout) -> None:
    """Raise TestbedError where the folder holds what no testbed has put there.

    A testbed's own is told by the record of the machine, which is its first file and its last.
    """
    state = layout.state
    if layout.machine_before.exists() or not state.exists():
        return
    if not state.is_dir() or any(state.iterdir()):
        raise TestbedError(
            f"{state} is there and holds no record of a testbed ({layout.machine_before.name}): it "
            "is neither used nor removed. Give the testbed a folder of its own in "
            f"{STATE_VARIABLE}, or, if this is a left-over, remove it by hand"
        )


def remove_state(layout: Layout) -> None:
    """Remove the folder, the record last: half a removal can be continued.

    Raises TestbedError where something in it cannot be removed.
    """
    for path in layout.state.iterdir():
        if path != layout.machine_before:
            _remove(path)
    _remove(layout.machine_before)
    # One that somebody mounted for the testbed stays, empty.
    with suppress(OSError):
        layout.state.rmdir()


def _remove(path: Path) -> None:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    except OSError as error:
        raise TestbedError(
            f"{error.filename or path} cannot be removed: {error.strerror}; see what holds it "
            "(`findmnt`, `lsof`) and take the testbed down again"
        ) from error
