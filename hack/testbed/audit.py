"""The API server's audit log: who did what to which object, and when."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["read_events"]


def read_events(log: Path, *, since: int = 0, about: str = "") -> Iterator[dict[str, Any]]:
    """Yield the events written behind the byte `since`, oldest first, an object each.

    `about` is a word that the event's JSON must hold in quotes: of a long log, few lines have to be
    parsed.
    """
    marker = f'"{about}"'.encode() if about else b""
    with log.open("rb") as lines:
        lines.seek(since)
        for line in lines:
            # The last one may be half written.
            if marker in line and line.endswith(b"\n"):
                yield json.loads(line)
