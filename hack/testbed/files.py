"""Files that others read at any moment: never half written, and touched only where they change."""

import os
from pathlib import Path

__all__ = ["link", "write"]


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """Make a file hold this text; one that holds it already is left as it is.

    kube-proxy, for one, ends when its file is written, changed or not.
    """
    if path.exists() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = _beside(path)
    fresh.touch(mode=mode)
    fresh.write_text(text)
    fresh.replace(path)


def link(path: Path, target: Path) -> None:
    """Make a symbolic link lead there; one that does already is left as it is."""
    if path.is_symlink() and path.readlink() == target:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = _beside(path)
    fresh.symlink_to(target)
    fresh.replace(path)


def _beside(path: Path) -> Path:
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    return fresh
