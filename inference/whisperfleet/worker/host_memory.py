"""How the host's memory is kept between two calls of the model."""

import ctypes
import logging
import resource
from pathlib import Path
from typing import Final

__all__ = ["FreeMemory", "keep_host_memory", "return_free_memory"]

log = logging.getLogger(__name__)

_MIB: Final = 1024**2

# mallopt(3), by the numbers of glibc's malloc.h. Where only blocks under 1 MiB stay in the heap, an
# hour of audio takes 13 to 23 % longer than where those under 4 MiB do (tiny.en, two cores).
_SETTINGS: Final = {
    "M_ARENA_MAX": (-8, 1),
    "M_MMAP_THRESHOLD": (-3, 4 * _MIB),
    "M_TRIM_THRESHOLD": (-1, 2**31 - 1),
    "M_TOP_PAD": (-2, 16 * _MIB),
}

# What may gather in the heap before it goes back. To give it back takes some 40 ms, so it is not
# done for little; a batch of a small model takes and frees about as much.
_MOST_GATHERED_BYTES: Final = 32 * _MIB
_STATM: Final = Path("/proc/self/statm")


class FreeMemory:
    """What is free in the heap, which goes back to the kernel once enough of it has gathered.

    A process that never has less in use gathers what it grows by; one whose use goes up and down
    has at most so much more than it used at a time (ADR 18).
    """

    def __init__(self) -> None:
        self._left_bytes = _resident_bytes()

    def return_if_gathered(self) -> bool:
        """Return memory where the process grew by enough since that was last done; say whether."""
        if _resident_bytes() - self._left_bytes < _MOST_GATHERED_BYTES:
            return False
        return_free_memory()
        self._left_bytes = _resident_bytes()
        return True


def keep_host_memory(libc: object | None = None) -> bool:
    """Have the allocator keep what is freed in small blocks, and say whether it does.

    CTranslate2 takes and frees the activations of every layer. glibc gives much of that back to the
    kernel, which clears each page anew for the next layer. So blocks come from one heap that does
    not shrink by itself: see `FreeMemory`. Only the largest are mapped each on its own: in
    the heap they made a worker 150 MiB larger (ADR 6). To be called before any other thread is
    started: a thread keeps its arena. Other C libraries have no such settings; they are left as
    they are. `libc` None is the one that this process runs on.
    """
    mallopt = getattr(libc or ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    refused = [name for name, setting in _SETTINGS.items() if not mallopt(*setting)]
    if refused:
        log.warning("the allocator refuses %s; a model on a CPU is slower", ", ".join(refused))
    return not refused


def return_free_memory(libc: object | None = None) -> None:
    """Give what is free in the heap back to the kernel, wherever it lies.

    The pages are cleared when they are next used, which is what `keep_host_memory` saves. `libc`
    is as there.
    """
    trim = getattr(libc or ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _resident_bytes() -> int:
    """Return the process's resident memory; 0 where the kernel does not say."""
    try:
        # proc(5): the second number is resident pages.
        return int(_STATM.read_text().split()[1]) * resource.getpagesize()
    except FileNotFoundError:
        return 0
