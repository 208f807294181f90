"""The directed worker, whose scratch folder is a disk of 2 MiB that only its own processes see.

It needs the right to mount. Others fill the disk by way of /proc/<pid>/root.
"""

import ctypes
import os
import sys
from pathlib import Path

# sched.h and sys/mount.h.
CLONE_NEWNS = 0x00020000
MS_REC, MS_PRIVATE = 16384, 1 << 18


def mount_small_disk(folder: Path) -> None:
    """Mount an empty disk there, which is gone with this process and its children."""
    libc = ctypes.CDLL(None, use_errno=True)
    for outcome in (
        libc.unshare(CLONE_NEWNS),
        libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None),
        libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, b"size=2m"),
    ):
        if outcome:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    scratch = Path(sys.argv[sys.argv.index("--scratch") + 1])
    mount_small_disk(scratch)
    directed = Path(__file__).with_name("directed_worker.py")
    os.execv(sys.executable, [sys.executable, str(directed), *sys.argv[1:]])
