"""`/livez`, `/readyz` and `/metrics` over HTTP.

What each check means is the business of whom it is served for: the worker and the operator.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from socketserver import ThreadingMixIn
from typing import Any, Self
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

from whisperfleet.errors import ConfigurationError

__all__ = ["Check", "HealthServer"]

Check = Callable[[], str | None]
"""Returns None when all is well, else the sentence to show. Called from any thread."""


# A probe asks at once. Who says nothing for so long has no thread here: its machine may be gone.
_PATIENCE_SECONDS = 10.0


class _ThreadingServer(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    # A probe must not wait behind a burst of others: beyond it the kernel drops who asks.
    request_queue_size = 128


class _SilentHandler(WSGIRequestHandler):
    def setup(self) -> None:
        super().setup()
        self.connection.settimeout(_PATIENCE_SECONDS)

    def handle(self) -> None:
        with suppress(OSError):
            super().handle()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


class HealthServer:
    """Serve the checks, by path, and metrics on `host:port` until left as a context.

    Port 0 takes a free one; `port` tells which. Raises ConfigurationError when the address or
    the port cannot be had.
    """

    def __init__(self, host: str, port: int, checks: Mapping[str, Check]) -> None:
        self._checks = checks
        self._metrics = make_wsgi_app()
        try:
            self._server = make_server(host, port, self._answer, _ThreadingServer, _SilentHandler)
        except OSError as error:
            raise ConfigurationError(
                f"cannot serve health and metrics on {host}:{port}: {error.strerror}; choose "
                "an address of this machine with --http-host and a free port with --http-port, or "
                "0 for any"
            ) from error
        self.port: int = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.1},
            daemon=True,
            name="health",
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            answer: Iterable[bytes] = self._metrics(environ, start_response)
            return answer
        check = self._checks.get(path)
        if check is None:
            status, text = "404 Not Found", "ask for /livez, /readyz or /metrics"
        elif problem := check():
            status, text = "503 Service Unavailable", problem
        else:
            status, text = "200 OK", "ok"
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [text.encode() + b"\n"]
