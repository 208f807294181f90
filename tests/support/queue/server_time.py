"""How much of a server's own processor time each command takes: what nobody else is served in."""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis

from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.queue.scripts import Script

# From here on the slow log would show a command, as it is set by default, on a machine of its own.
SLOW_SECONDS = 0.010
# A slow machine has as much more, by what a digest of a mebibyte takes it.
_DIGEST = "return redis.sha1hex(string.rep('x', 1048576))"
_SLOW_DIGESTS = 5
_SCRIPTS = (
    "cancel claim depths drop finish page prune redrive register release release_orphans renew "
    "trial"
).split()
_NAMES = {
    known: script.name for script in map(Script, _SCRIPTS) for known in (script._sha, script.source)
}
_TRIES = 5


@dataclass
class ServerTime:
    """Seconds of the server's processor time by command, of all clients in this process.

    Not of the clock, as the slow log: on a busy machine that is the time of others too.
    """

    server: EmbeddedServer
    spent: list[tuple[str, float]] = field(default_factory=list)

    @contextmanager
    def counted(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                redis.Redis, "execute_command", self._watch(redis.Redis.execute_command, _name)
            )
            patch.setattr(
                redis.client.Pipeline, "execute", self._watch(redis.client.Pipeline.execute, _share)
            )
            yield

    def assert_brief(self, part: Callable[[], object]) -> str:
        """Run a part of a story until none of its commands is slow, a few times at the most.

        What is slow by itself is so each time. Return what was seen, as a figure.
        """
        for _ in range(_TRIES):
            limit = max(SLOW_SECONDS, _SLOW_DIGESTS * self._digest_seconds())
            self.spent.clear()
            with self.counted():
                part()
            slow = [(name, seconds) for name, seconds in self.spent if seconds > limit]
            if not slow:
                return self._describe()
        pytest.fail(f"slow each time: {slow}; {self._describe()}")

    def _digest_seconds(self) -> float:
        with self.server.settings.connect() as client:
            taken = []
            for _ in range(3):
                before = self._now()
                client.eval(_DIGEST, 0)
                taken.append(self._now() - before)
        return min(taken)

    def _describe(self) -> str:
        by_name: dict[str, list[float]] = {}
        for name, seconds in self.spent:
            by_name.setdefault(name, []).append(1000 * seconds)
        return ", ".join(
            f"{len(found)} {name} {statistics.median(found):.2f} (most {max(found):.2f}) ms"
            for name, found in sorted(by_name.items())
        )

    def _watch(self, method: Callable[..., Any], name: Callable[..., tuple[str, int]]) -> Any:
        def watched(client: redis.Redis, *arguments: Any, **options: Any) -> Any:
            called, commands = name(client, *arguments)
            before = self._now()
            try:
                return method(client, *arguments, **options)
            finally:
                self.spent.append((called, (self._now() - before) / commands))

        return watched

    def _now(self) -> float:
        # clock_getcpuclockid(3), which Python has for threads of its own alone.
        return time.clock_gettime((~self.server.pid << 3) | 2)


def _name(_: redis.Redis, command: str, *arguments: Any) -> tuple[str, int]:
    known = command in {"EVALSHA", "EVAL"} and _NAMES.get(arguments[0])
    return known or command, 1


def _share(pipeline: Any, *_: Any) -> tuple[str, int]:
    """Of what is sent together each command has its share."""
    return "pipeline", max(1, len(pipeline.command_stack))
