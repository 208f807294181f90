"""Two servers behind one address: a primary, and a replica that takes its place in a fail-over."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import redis

from hack.proxy import Proxy
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.queue import RedisSettings

__all__ = ["Pair"]

_TICK_SECONDS: Final = 0.01
_SYNC_SECONDS: Final = 30.0
# A replica that lags shall not keep writes waiting for ever.
_FAILOVER_MS: Final = 10_000


class Pair:
    """A primary and its replica, both with what they acknowledged on disk, behind one address."""

    def __init__(self, binary: Path) -> None:
        # A replica that may be promoted soon does not wait for others before it is sent the data.
        options = (("repl-diskless-sync-delay", "0"),)
        self._servers = [
            EmbeddedServer(binary, append_only=True, options=options) for _ in range(2)
        ]
        self._stack = ExitStack()
        self._proxy: Proxy | None = None
        self.is_down = False

    def __enter__(self) -> Self:
        for server in self._servers:
            self._stack.enter_context(server)
        self._proxy = self._stack.enter_context(Proxy(self.primary.port))
        self._follow()
        self._wait_until_in_step()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def primary(self) -> EmbeddedServer:
        """The server that takes writes."""
        return self._servers[0]

    @property
    def settings(self) -> RedisSettings:
        """The address of whichever is the primary."""
        assert self._proxy is not None, "a Pair is started by entering it"
        return self._proxy.settings

    def kill(self) -> None:
        """End the primary as a power cut would."""
        self.is_down = True
        self.primary.kill()

    def start(self) -> None:
        """Start the primary again, with all that it had acknowledged."""
        self.primary.start()
        self.is_down = False

    def fail_over(self) -> None:
        """Let the replica take the primary's place; who is connected to the old one stays there.

        It loses nothing: the server holds writes back until the replica has all of them. Raises
        TimeoutError where that does not come to be.
        """
        assert self._proxy is not None
        self._wait_until_in_step()
        with self.primary.settings.connect() as old:
            old.execute_command("FAILOVER", "TIMEOUT", _FAILOVER_MS)
            _wait_for("the fail-over", lambda: _role(old) == "slave")
        self._servers.reverse()
        with self.primary.settings.connect() as new:
            _wait_for("the promotion", lambda: _role(new) == "master")
        self._proxy.lead_to(self.primary.port)

    def _follow(self) -> None:
        with self._servers[1].settings.connect() as replica:
            replica.replicaof("127.0.0.1", self.primary.port)

    def _wait_until_in_step(self) -> None:
        with self._servers[1].settings.connect() as replica:
            _wait_for("the replica", lambda: _is_in_step(replica))


def _wait_for(what: str, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _SYNC_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} has not come about within {_SYNC_SECONDS:g} s")
        time.sleep(_TICK_SECONDS)


def _role(client: redis.Redis) -> str:
    return str(client.info("replication")["role"])


def _is_in_step(replica: redis.Redis) -> bool:
    facts = replica.info("replication")
    return facts.get("master_link_status") == "up" and not facts["master_sync_in_progress"]
