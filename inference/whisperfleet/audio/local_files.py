"""The `file:` addresses of the demo: regular files under folders that were named, nothing else."""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from whisperfleet.contract.codes import Code
from whisperfleet.errors import InputError

__all__ = ["open_local"]


@contextmanager
def open_local(url: str, roots: Sequence[Path]) -> Iterator[BinaryIO]:
    """Open the regular file that a `file:` address names, if it lies under one of `roots`.

    Links are followed first and judged by where they end. Raises InputError.
    """
    if not roots:
        raise InputError(
            Code.SCHEME_REFUSED,
            "file: addresses work in the demo only; upload the audio and send an https address",
        )
    path = _checked_path(url, roots)
    try:
        # Without O_NONBLOCK a pipe would hold the worker before it can be told from a file.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path, flags)
    except OSError as error:
        raise InputError(
            Code.FETCH_REFUSED,
            f"the file cannot be opened ({error.strerror}); let the worker read it",
        ) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InputError(Code.FETCH_REFUSED, "the path is not a regular file; send an audio file")
    with os.fdopen(descriptor, "rb") as file:
        yield file


def _checked_path(url: str, roots: Sequence[Path]) -> Path:
    try:
        parts = urlsplit(url)
        path = Path(unquote(parts.path)).resolve()
        inside = any(path.is_relative_to(root.resolve()) for root in roots)
        is_there = path.exists()
    except (OSError, RuntimeError, ValueError):
        raise InputError(Code.NOT_FOUND, "the file cannot be reached; check the path") from None
    if parts.netloc not in ("", "localhost") or not inside:
        raise InputError(
            Code.ADDRESS_REFUSED,
            "the file lies outside the folders that may be read; move it into one of them",
        )
    if not is_there:
        raise InputError(Code.NOT_FOUND, "the file does not exist; check the path")
    return path
