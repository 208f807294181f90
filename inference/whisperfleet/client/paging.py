"""Streams read in pages that cost Redis little, whatever their entries hold."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import redis

from whisperfleet.queue.scripts import Script

__all__ = ["PagedEntry", "read_page", "read_pages"]

_READ_PAGE = Script("page")
_MOST_ENTRIES = 200


@dataclass(frozen=True, slots=True)
class PagedEntry:
    """An entry of a stream. Fields over 16 KiB are left out, and told with their bytes."""

    entry_id: str
    fields: Mapping[bytes, bytes] = field(repr=False)
    left_out: Mapping[bytes, int]


def read_pages(client: redis.Redis, stream: str) -> Iterator[PagedEntry]:
    """Yield every entry of a stream, oldest first."""
    start = "-"
    while page := read_page(client, stream, start, "+"):
        yield from page
        start = f"({page[-1].entry_id}"


def read_page(client: redis.Redis, stream: str, start: str, end: str) -> list[PagedEntry]:
    """Return the first entries of a range; none where it holds none."""
    page: list[Any] = _READ_PAGE.run(client, [stream], [start, end, _MOST_ENTRIES])
    return [
        PagedEntry(entry.decode(), _pairs(fields), _pairs(left_out))
        for entry, fields, left_out in page
    ]


def _pairs(flat: list[Any]) -> dict[bytes, Any]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
