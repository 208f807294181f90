"""How deep a queue is: what waits, what runs, and since when the oldest job waits.

The one reader of it, for the command line and for the operator. A job runs while a worker holds it
within its lease; what was handed back, waits for a retry, or was held by a worker that is gone,
waits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import redis

from whisperfleet.contract.keys import Keys
from whisperfleet.contract.times import entry_time
from whisperfleet.queue.scripts import Script

__all__ = ["QueueDepth", "StreamDepth", "measure"]

_DEPTHS = Script("depths")
# Redis serves nobody else while it looks at a page: well below a millisecond for 512 entries.
_PAGE = 512
# What is pending beyond so many pages waits: no fleet holds as many jobs at once.
_PAGES = 128


@dataclass(frozen=True, slots=True)
class StreamDepth:
    """One stream: `length` jobs that have not ended, `running` of which a worker holds.

    `oldest` is when the job that has waited longest was sent, by the server's clock; None where
    none waits, or its entry has an id that is no time. `has_group`: a worker or an operator has
    been here.
    """

    length: int
    running: int
    oldest: datetime | None
    has_group: bool

    @property
    def waiting(self) -> int:
        """Jobs that no worker holds."""
        return self.length - self.running


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """The streams of a queue, in the order in which they were asked for, and its dead letters."""

    streams: tuple[StreamDepth, ...]
    dead_letters: int

    @property
    def waiting(self) -> int:
        """Jobs that no worker holds."""
        return sum(stream.waiting for stream in self.streams)

    @property
    def running(self) -> int:
        """Jobs that a worker holds within its lease."""
        return sum(stream.running for stream in self.streams)

    @property
    def oldest(self) -> datetime | None:
        """When the job that has waited longest was sent; None where none waits or none tells."""
        return min((stream.oldest for stream in self.streams if stream.oldest), default=None)


def measure(
    client: redis.Redis, keys: Keys, streams: Sequence[str], lease_seconds: float
) -> QueueDepth:
    """Return how deep the streams are, which are named by their whole keys.

    `lease_seconds` counts where no worker of the queue has told its own yet. Raises
    redis.RedisError, also where a key is no stream.
    """
    depths = _stream_depths(client, keys, streams, lease_seconds) if streams else ()
    return QueueDepth(tuple(depths), int(client.xlen(keys.dead_letters)))


def _stream_depths(
    client: redis.Redis, keys: Keys, streams: Sequence[str], lease_seconds: float
) -> list[StreamDepth]:
    first = _pages(client, keys, streams, ["-"] * len(streams), lease_seconds)
    running = [page[1] for page in first]
    oldest = [page[3] for page in first]
    left = {i: page[2] for i, page in enumerate(first) if page[2]}
    for _ in range(_PAGES):
        if not left:
            break
        which = list(left)
        chosen = [streams[i] for i in which]
        pages = _pages(client, keys, chosen, [left[i] for i in which], lease_seconds)
        left = {}
        for i, page in zip(which, pages, strict=True):
            running[i] += max(page[1], 0)
            oldest[i] = oldest[i] or page[3]
            if page[2]:
                left[i] = page[2]
    return [
        StreamDepth(
            length=page[0],
            # An entry that was deleted while somebody held it is pending and has no length.
            running=min(max(running[i], 0), page[0]),
            oldest=entry_time(oldest[i]),
            has_group=page[1] >= 0,
        )
        for i, page in enumerate(first)
    ]


def _pages(
    client: redis.Redis,
    keys: Keys,
    streams: Sequence[str],
    starts: Sequence[str],
    lease_seconds: float,
) -> list[tuple[int, int, str, str]]:
    reply: Any = _DEPTHS.run(
        client,
        [keys.meta, keys.running, *streams],
        [keys.group, keys.prefix, round(lease_seconds * 1000), _PAGE, *starts],
    )
    return [
        (length, running, after.decode(), oldest.decode())
        for length, running, after, oldest in reply
    ]
