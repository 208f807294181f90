"""A line between clients and a server that can lose a reply, be cut, and lead to another server."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

from whisperfleet.queue import RedisSettings

__all__ = ["Proxy"]


class Proxy:
    """Forwards TCP on loopback to `port`; an address that survives a fail-over."""

    def __init__(self, port: int) -> None:
        self.lost = 0
        self._target: int | None = port
        self._to_lose: bytes | None = None
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        self._acceptor = threading.Thread(target=self._accept)

    @property
    def settings(self) -> RedisSettings:
        """The settings for a client of the address."""
        return RedisSettings(self.url)

    def __enter__(self) -> Self:
        self._acceptor.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Wakes `accept`; closing alone does not.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join()

    def lose_reply_with(self, text: bytes) -> None:
        """Close the line in place of passing on the next reply that holds `text`."""
        self.lost, self._to_lose = 0, text

    def cut(self) -> None:
        """Close every line, and each new one at once."""
        with self._lock:
            self._target = None
            for end in self._open:
                _hang_up(end)

    def point_at(self, port: int) -> None:
        """Close every line; new ones go to another server."""
        self.cut()
        self._target = port

    def lead_to(self, port: int) -> None:
        """Let new lines go to another server; those that are open stay."""
        self._target = port

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                far = self._connect()
                if far is None:
                    near.close()
                    continue
                self._open |= {near, far}
            thread = threading.Thread(target=self._serve, args=(near, far))
            thread.start()
            self._threads.append(thread)

    def _connect(self) -> socket.socket | None:
        if self._target is None:
            return None
        try:
            return socket.create_connection(("127.0.0.1", self._target))
        except OSError:
            return None

    def _serve(self, near: socket.socket, far: socket.socket) -> None:
        asking = threading.Thread(target=_pump, args=(near, far))
        asking.start()
        with suppress(OSError):
            while chunk := far.recv(65536):
                if self._loses(chunk):
                    break
                near.sendall(chunk)
        _hang_up(near)
        _hang_up(far)
        asking.join()
        with self._lock:
            self._open -= {near, far}
            near.close()
            far.close()

    def _loses(self, chunk: bytes) -> bool:
        with self._lock:
            if self._to_lose is None or self._to_lose not in chunk:
                return False
            self._to_lose = None
            self.lost += 1
            return True


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(65536):
            sink.sendall(chunk)
    _hang_up(sink)


def _hang_up(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
