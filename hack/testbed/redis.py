"""Redis as a process of the host, with everything it has acknowledged in its file."""

import socket
from contextlib import suppress
from typing import Final

from hack.testbed.component import Component
from hack.testbed.layout import NODE_IP, REDIS_PORT, Layout

__all__ = ["redis"]

_ANSWER_SECONDS: Final = 5.0


def redis(layout: Layout) -> Component:
    """Return the Redis that pods and this machine reach at the node's address."""
    folder = layout.state / "redis"
    return Component(
        name="redis",
        command=(
            *("redis-server", "--bind", NODE_IP, "--port", str(REDIS_PORT)),
            *("--dir", str(folder), "--daemonize", "no", "--protected-mode", "no"),
            # Each write is in the file before its reply: `everysec` was seen to lose some.
            *("--appendonly", "yes", "--appendfsync", "always", "--save", ""),
            *("--maxmemory", "256mb", "--maxmemory-policy", "noeviction"),
        ),
        prepare=lambda: folder.mkdir(parents=True, exist_ok=True),
        ports=((NODE_IP, REDIS_PORT),),
        is_ready=lambda: _answers(NODE_IP, REDIS_PORT),
    )


def _answers(host: str, port: int) -> bool:
    """Return whether a Redis has read its file and takes commands."""
    with (
        suppress(OSError),
        socket.create_connection((host, port), timeout=_ANSWER_SECONDS) as connection,
    ):
        connection.sendall(b"PING\r\n")
        return connection.recv(64).startswith(b"+PONG")
    return False
