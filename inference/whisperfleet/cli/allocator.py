"""What glibc's allocator reads from the environment, and only when a process starts."""

import ctypes
import os
import sys
from collections.abc import Mapping
from typing import Final

from whisperfleet.cli.first_process import keep_sigterm

__all__ = ["start_without_thread_cache"]

_VARIABLE: Final = "GLIBC_TUNABLES"
# glibc 2.36 puts what `posix_memalign` cuts off a block into the thread's cache, where it keeps its
# neighbours from merging (glibc's bug 30723). CTranslate2 and onnxruntime take their blocks so: the
# heap of a worker grew by 18 to 33 MiB an hour of audio (ADR 6).
_THREAD_CACHE: Final = "glibc.malloc.tcache_count"


def start_without_thread_cache() -> None:
    """Start this program anew in the same process, its allocator without a cache for each thread.

    Returns where that is so already, where `GLIBC_TUNABLES` says how large the cache is, and where
    the C library is another. To be called before anything was written or opened.
    """
    tunables = _tunables(os.environ)
    if tunables is not None and sys.executable and hasattr(ctypes.CDLL(None), "mallopt"):
        keep_sigterm()
        os.execve(  # noqa: S606 - it is this program
            sys.executable,
            [sys.executable, *sys.orig_argv[1:]],
            {**os.environ, _VARIABLE: tunables},
        )


def _tunables(environment: Mapping[str, str]) -> str | None:
    """Return the value to start with, or None where the environment names the cache's size."""
    given = environment.get(_VARIABLE, "")
    if _THREAD_CACHE in given:
        return None
    return ":".join(filter(None, [given, f"{_THREAD_CACHE}=0"]))
