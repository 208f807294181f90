"""Where the tools of this folder keep what was fetched or built once, and how it is made."""

import fcntl
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

__all__ = ["cache_folder", "make_once"]


def cache_folder(tool: str) -> Path:
    """Return a tool's folder below the user's cache; it may not be there yet."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "whisperfleet" / tool


def make_once(target: Path, make: Callable[[Path], None]) -> Path:
    """Return a folder that `make` fills the first time it is wanted; it is whole or not there.

    Whoever else wants it meanwhile waits. Raises what `make` raises, and then nothing is left.
    """
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / f".{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.is_dir():
            return target
        # Filled aside, on the same file system, so that the last step is a rename.
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as folder:
            made = Path(folder) / "made"
            made.mkdir()
            make(made)
            made.rename(target)
    return target
