"""Which content an image is made of, and which commit that content is from."""

import hashlib
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["content_key", "copy_inputs", "input_files", "revision_of"]

_KEY_DIGITS = 16
_LEFT_OUT = "__pycache__"


def content_key(root: Path, inputs: Iterable[str], facts: Iterable[str] = ()) -> str:
    """Return a short digest of files and folders below `root` and of `facts`, both in order.

    Names count, times and modes do not. Raises FileNotFoundError where an input is missing.
    """
    whole = hashlib.sha256()
    for path in input_files(root, inputs):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        whole.update(f"{path.relative_to(root)}\0{content}\n".encode())
    for fact in facts:
        whole.update(f"\0{fact}\n".encode())
    return whole.hexdigest()[:_KEY_DIGITS]


def input_files(root: Path, inputs: Iterable[str]) -> Iterator[Path]:
    """Yield every file of the inputs, sorted within each of them, without bytecode."""
    for name in inputs:
        path = root / name
        if path.is_dir():
            inner = (p for p in path.rglob("*") if p.is_file() and _LEFT_OUT not in p.parts)
            yield from sorted(inner)
        elif path.is_file():
            yield path
        else:
            raise FileNotFoundError(f"{path} is an input of an image and is not there")


def copy_inputs(root: Path, inputs: Iterable[str], target: Path) -> None:
    """Copy the files of the inputs below `root` to the same places below `target`, with times."""
    for path in input_files(root, inputs):
        copy = target / path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)


def revision_of(root: Path, inputs: tuple[str, ...]) -> str:
    """Return the last commit that touched the inputs, `-dirty` when they differ from it.

    So a commit of something else is the same image. Empty where there is no repository.
    """
    commit = _git(root, "log", "-1", "--format=%H", "--", *inputs)
    if not commit:
        return ""
    changed = _git(root, "status", "--porcelain", "--untracked-files=all", "--", *inputs)
    return f"{commit}-dirty" if changed else commit


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
