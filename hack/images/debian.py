"""The base of the images that are built here: a small Debian with Python."""

import subprocess
from pathlib import Path
from typing import Final

from hack.images.errors import ImageError

__all__ = ["debootstrap"]

_STDERR = 2
_SUITE: Final = "bookworm"
_PACKAGES: Final = ("ca-certificates", "python3", "python3-venv")
# Nobody reads manuals in a container; the licences stay.
_LEFT_OUT: Final = (
    "path-exclude=/usr/share/doc/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/man/*",
    "path-include=/usr/share/doc/*/copyright",
)


def debootstrap(rootfs: Path) -> None:
    """Write a root file system as a tar file. Raises ImageError where mmdebstrap fails."""
    command = [
        *("mmdebstrap", "--variant=minbase", f"--include={','.join(_PACKAGES)}"),
        *(f"--dpkgopt={option}" for option in _LEFT_OUT),
        *(_SUITE, str(rootfs)),
    ]
    if subprocess.run(command, stdout=_STDERR, check=False).returncode:
        raise ImageError(
            "mmdebstrap could not make the base image (its words are above); check that this "
            "machine reaches a Debian mirror, and http_proxy where it needs a proxy"
        )
