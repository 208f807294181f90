"""How the host's memory is kept between two calls of the model."""

import ctypes
import logging
from typing import Final

__all__ = ["keep_host_memory", "return_free_memory"]

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


def keep_host_memory() -> bool:
    """Have the allocator keep what is freed in small blocks, and say whether it does.

    CTranslate2 takes and frees the activations of every layer. glibc gives much of that back to the
    kernel, which clears each page anew for the next layer. So blocks come from one heap that does
    not shrink by itself: see `return_free_memory`. Only the largest are mapped each on its own: in
    the heap they made a worker 150 MiB larger (ADR 6). To be called before any other thread is
    started: a thread keeps its arena. Other C libraries have no such settings; they are left as
    they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    refused = [name for name, setting in _SETTINGS.items() if not mallopt(*setting)]
    if refused:
        log.warning("the allocator refuses %s; a model on a CPU is slower", ", ".join(refused))
    return not refused


def return_free_memory() -> None:
    """Give what is free in the heap back to the kernel, wherever it lies.

    To be called now and then; the pages are cleared when they are next used, which is what
    `keep_host_memory` saves.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
