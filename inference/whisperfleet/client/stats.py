"""How much there is in a queue: its streams, their load, and the totals."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import redis

from whisperfleet.client.reports import QueueStats, StreamStats
from whisperfleet.contract.keys import Keys
from whisperfleet.queue.depths import measure

__all__ = ["SCAN_COUNT", "find_stream_names", "read_stats"]

# Keys that Redis looks at in one step of a scan: far below a millisecond.
SCAN_COUNT = 1000


def find_stream_names(client: redis.Redis, keys: Keys) -> set[str]:
    """Return `<priority>` or `<priority>:<tenant>` of every input stream that Redis holds."""
    prefix = f"{keys.prefix}in:"
    found: set[str] = set()
    for key in client.scan_iter(f"{prefix}*", count=SCAN_COUNT, _type="stream"):
        stream_name = key.decode("utf-8", "replace").removeprefix(prefix)
        priority, _, tenant = stream_name.partition(":")
        # What cannot be the name of a stream is somebody else's key.
        with suppress(ValueError):
            if keys.stream(priority, tenant or None).encode() == key:
                found.add(stream_name)
    return found


def read_stats(
    client: redis.Redis, keys: Keys, stream_names: Sequence[str], lease_seconds: float
) -> QueueStats:
    """Read the load of these streams, and the totals of the queue."""
    streams = [keys.stream_named(stream_name) for stream_name in stream_names]
    depth = measure(client, keys, streams, lease_seconds)
    totals: Any = client.hgetall(keys.counters)
    return QueueStats(
        streams=tuple(
            StreamStats(stream_name, stream.length, stream.running, stream.oldest)
            for stream_name, stream in zip(stream_names, depth.streams, strict=True)
        ),
        dead_letters=depth.dead_letters,
        totals={
            name.decode("utf-8", "replace"): int(count)
            for name, count in totals.items()
            if count.isdigit()
        },
    )
