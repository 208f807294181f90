"""Arrays whose memory goes back to the kernel at once."""

import mmap
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["concatenate_outside_heap", "empty_outside_heap"]

_Number = TypeVar("_Number", bound=np.generic)

# A mapping takes two system calls and an exception for each page: too much for a small array.
_LEAST_BYTES = 256 * 1024


def empty_outside_heap(shape: tuple[int, ...], kind: type[_Number]) -> NDArray[_Number]:
    """Return an array of arbitrary content, a large one in a mapping of its own.

    What is kept while the model runs would divide the heap: where a large block between others that
    stay was freed, smaller ones are put, and the next large one makes the heap longer (ADR 18).
    """
    size = int(np.prod(shape)) * np.dtype(kind).itemsize
    if size < _LEAST_BYTES:
        return np.empty(shape, kind)
    # Private: a shared mapping would be a file in memory, and a child's as well.
    pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return np.frombuffer(pages, kind).reshape(shape)


def concatenate_outside_heap(parts: Sequence[NDArray[_Number]]) -> NDArray[_Number]:
    """Return arrays of one dimension and type end to end; there must be at least one."""
    joined = empty_outside_heap((sum(map(len, parts)),), parts[0].dtype.type)
    return np.concatenate(parts, out=joined)
