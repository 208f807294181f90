"""The links of a chained Ogg file: whole streams one after the other, as internet radio records.

libav follows a chain only where the next link has the shape of the first, so each is opened alone.
Only the standard library is imported.
"""

import errno
import io
import itertools
import os
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["Part", "ogg_links"]

# Capture pattern, version, flags, granule position, serial, sequence, checksum, segments.
PAGE = struct.Struct("<4sBBqIIIB")
FIRST_PAGE = 0x02

# A page holds up to a second. What is beyond these is not looked at: the last link is the rest.
MAX_PAGES = 1_000_000
MAX_LINKS = 1_000
SCAN_BYTES = 64 * 1024


class Part(io.RawIOBase):
    """A part of an open file, read as if it were one of its own."""

    def __init__(self, file: io.FileIO, start: int, end: int) -> None:
        super().__init__()
        self._descriptor = file.fileno()
        self._start, self._end = start, end
        self._at = start

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: "Buffer") -> int:
        """Read up to the end of the part."""
        view = memoryview(buffer).cast("B")
        wanted = max(0, min(len(view), self._end - self._at))
        read = os.preadv(self._descriptor, [view[:wanted]], self._at) if wanted else 0
        self._at += read
        return read

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place in the part; raises OSError before its beginning, as files do."""
        origin = {os.SEEK_SET: self._start, os.SEEK_CUR: self._at, os.SEEK_END: self._end}[whence]
        if origin + offset < self._start:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._at = origin + offset
        return self._at - self._start

    def tell(self) -> int:
        """Return the place in the part."""
        return self._at - self._start


def ogg_links(file: io.FileIO) -> list[Part]:
    """Return the links of an Ogg file, one for a file that is no chain; nothing for other files."""
    size = os.fstat(file.fileno()).st_size
    starts = []
    in_headers = False
    for number, (at, begins) in enumerate(pages(file.fileno(), size)):
        if begins and not in_headers:
            starts.append(at)
        # The first pages of all streams of a link come before any other page of it.
        in_headers = begins
        if number >= MAX_PAGES or len(starts) >= MAX_LINKS:
            break
    return [Part(file, start, end) for start, end in itertools.pairwise([*starts, size])]


def pages(descriptor: int, size: int) -> Iterator[tuple[int, bool]]:
    """Yield where each page begins, and whether it is the first of a stream."""
    at = 0
    while at < size:
        head = os.pread(descriptor, PAGE.size + 255, at)
        if len(head) < PAGE.size or head[:5] != b"OggS\0":
            found = next_capture(descriptor, at + 1, size) if at else None
            if found is None:
                return
            at = found
            continue
        _, _, flags, granule, _, sequence, _, segments = PAGE.unpack_from(head)
        yield at, bool(flags & FIRST_PAGE) and granule == sequence == 0
        at += PAGE.size + segments + sum(head[PAGE.size : PAGE.size + segments])


def next_capture(descriptor: int, at: int, size: int) -> int | None:
    """Return where the next page may begin after a damaged one."""
    while at < size:
        chunk = os.pread(descriptor, SCAN_BYTES, at)
        if (found := chunk.find(b"OggS")) >= 0:
            return at + found
        # The pattern may lie across two chunks.
        at += max(len(chunk) - 3, 1)
    return None
