"""One worker for the tests that only send it jobs."""

import http.server
import threading
import uuid
from collections.abc import Iterator

import pytest

from support.workers import Worker, running_worker
from whisperfleet.client import Admin, Client
from whisperfleet.demo.server import EmbeddedServer


class Origin:
    """An HTTP server on loopback that answers by path and remembers what was asked."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        origin = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                origin.asked.append(self.path)
                path = self.path.partition("?")[0]
                if path == "/redirect-to-metadata":
                    self.send_response(302)
                    self.send_header("Location", "http://169.254.169.254/latest/meta-data")
                    self.end_headers()
                    return
                body = origin.files.get(path)
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture(scope="session")
def origin() -> Iterator[Origin]:
    """Where the tests' audio is."""
    server = Origin()
    yield server
    server.close()


@pytest.fixture(scope="session")
def shared_queue_id() -> str:
    return f"shared.{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="session")
def worker(any_server: EmbeddedServer, shared_queue_id: str) -> Iterator[Worker]:
    """A worker with tight limits that may fetch from `origin`; do not stop it."""
    with running_worker(
        any_server,
        shared_queue_id,
        *("--allow-http", "--allowed-networks", "127.0.0.0/8"),
        *("--allowed-hosts", "127.0.0.1,169.254.169.254"),
        *("--max-bytes", "3000000", "--max-audio-seconds", "60"),
    ) as running:
        yield running


@pytest.fixture
def client(any_server: EmbeddedServer, shared_queue_id: str, worker: Worker) -> Client:  # noqa: ARG001
    """A producer for `worker`."""
    return Client(any_server.settings, shared_queue_id)


@pytest.fixture
def admin(any_server: EmbeddedServer, shared_queue_id: str) -> Iterator[Admin]:
    """An administrator of the queue of `worker`."""
    with Admin(any_server.settings, shared_queue_id) as administrator:
        yield administrator
