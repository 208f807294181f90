"""cuBLAS, which CTranslate2 loads by name: found here, handed to this process and its children."""

import ctypes
import importlib.util
import os
from pathlib import Path
from typing import Final

import ctranslate2

__all__ = ["MissingError", "require_cuda"]

# In the order in which they need each other.
_LIBRARIES: Final = ("libcublasLt.so.12", "libcublas.so.12")
_PATH: Final = "LD_LIBRARY_PATH"


class MissingError(RuntimeError):
    """A GPU cannot be used, for want of something that has a name."""


def require_cuda() -> None:
    """Make a GPU usable here and in every process that is started from now on.

    The system's cuBLAS of CUDA 12 is taken, else that of requirements/cuda.txt. Raises
    MissingError.
    """
    # Kernels for a GPU that is newer than the wheel are compiled once, if the cache holds them all.
    os.environ.setdefault("CUDA_CACHE_MAXSIZE", str(4 * 1024**3))
    if not _load(Path()):
        folder = _installed()
        if folder is None or not _load(folder):
            raise MissingError(
                f"{_LIBRARIES[-1]} is missing; install it with `.venv/bin/python -m pip install "
                "--require-hashes -r requirements/cuda.txt`, or put the folder of CUDA 12's into "
                f"{_PATH}"
            )
        # The loader reads it when a process starts: this one has loaded them by their paths.
        os.environ[_PATH] = os.pathsep.join(filter(None, (str(folder), os.environ.get(_PATH))))
    if not ctranslate2.get_cuda_device_count():
        raise MissingError(
            "CTranslate2 sees no GPU though nvidia-smi does; is the driver for CUDA 12 or later, "
            "and does CUDA_VISIBLE_DEVICES name one?"
        )


def _installed() -> Path | None:
    """Return the folder of the libraries that pip has installed."""
    try:
        package = importlib.util.find_spec("nvidia.cublas")
    except ModuleNotFoundError:
        return None
    places = (package and package.submodule_search_locations) or ()
    return next((Path(place) / "lib" for place in places), None)


def _load(folder: Path) -> bool:
    """Load the libraries from a folder, or by the loader's rules; say whether that went well."""
    try:
        for name in _LIBRARIES:
            ctypes.CDLL(str(folder / name), mode=ctypes.RTLD_GLOBAL)
    except OSError:
        return False
    return True
