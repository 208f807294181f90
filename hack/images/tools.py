"""The programs that building needs, installed where that can be done without asking."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterable

from hack.images.errors import ImageError

__all__ = ["require_tools"]

_STDERR = 2
# As Debian and Ubuntu name the packages; the keyring is what mmdebstrap checks Debian with.
_PACKAGES = {"buildah": ["buildah"], "mmdebstrap": ["mmdebstrap", "debian-archive-keyring"]}

_INSTALL = ["apt-get", "install", "--yes", "--no-install-recommends"]


def require_tools(
    tools: Iterable[str],
    find: Callable[[str], str | None] = shutil.which,
    is_root: Callable[[], bool] = lambda: os.geteuid() == 0,
) -> None:
    """Install what is missing where this is root on a Debian.

    Raises ImageError with the command that installs it elsewhere.
    """
    missing = [tool for tool in tools if find(tool) is None]
    if not missing:
        return
    packages = [package for tool in missing for package in _PACKAGES[tool]]
    if not (is_root() and find("apt-get")):
        raise ImageError(
            f"building images needs {' and '.join(missing)}; install with: "
            f"sudo {' '.join([*_INSTALL, *packages])} (Debian, Ubuntu), or build with Docker as "
            "inference/Dockerfile says"
        )
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update", "--quiet"], [*_INSTALL, "--quiet", *packages]):
        if subprocess.run(command, env=environment, stdout=_STDERR, check=False).returncode:
            raise ImageError(
                f"building images needs {' and '.join(missing)}, and `{' '.join(command)}` failed "
                "(its words are above); mend that, or build with Docker: see inference/Dockerfile"
            )
