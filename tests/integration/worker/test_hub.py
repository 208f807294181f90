"""A worker that fetches its model from a hub, with the hub's real client."""

import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from hack.images.recipes import ROOT, WORKER
from support.audio.files import clips
from support.workers import running_worker
from whisperfleet.client import Client
from whisperfleet.contract.job import Job
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.engine.ctranslate2.models import digest_model

REPOSITORY = "example/small"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    """What the hub's client asks of a hub, for one model in a folder of that name."""

    folder: Path

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        path = self.path.partition("?")[0]
        files = {file.name: file for file in self.folder.iterdir()}
        name = path.removeprefix(f"/{REPOSITORY}/resolve/{COMMIT}/")
        if path == f"/api/models/{REPOSITORY}/revision/main":
            siblings = [{"rfilename": each} for each in files]
            self._send_json({"id": REPOSITORY, "sha": COMMIT, "siblings": siblings})
        elif path == f"/api/models/{REPOSITORY}/tree/{COMMIT}":
            self._send_json([_entry(file) for file in files.values()])
        elif name in files:
            content = files[name].read_bytes()
            headers = {"ETag": f'"{_digest(content)}"', "X-Repo-Commit": COMMIT}
            self._send(content, headers, with_body=with_body)
        else:
            self.send_error(404)

    def _send_json(self, answer: object) -> None:
        self._send(json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def _send(self, content: bytes, headers: dict[str, str], *, with_body: bool = True) -> None:
        self.send_response(200)
        for header, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(header, value)
        self.end_headers()
        if with_body:
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing: the test's own failure tells more."""


def _entry(file: Path) -> dict[str, object]:
    size, digest = file.stat().st_size, _digest(file.read_bytes())
    return {"type": "file", "path": file.name, "size": size, "oid": digest}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@contextmanager
def running_hub(folder: Path) -> Iterator[str]:
    handler = type("OfFolder", (Hub,), {"folder": folder})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The demo's model as another one: its digest is its own."""
    folder = Path(shutil.copytree(ROOT / str(WORKER.model), tmp_path / "model"))
    config = folder / "config.json"
    config.write_bytes(config.read_bytes() + b"\n")
    return folder


def test_a_model_of_the_hub_is_fetched_once_and_gives_words(
    any_server: EmbeddedServer, queue_id: str, model: Path, tmp_path: Path
):
    audio, said = clips()[0]
    home = {"HF_HOME": str(tmp_path / "cache"), "HF_HUB_DISABLE_TELEMETRY": "1"}

    def words(endpoint: str) -> None:
        environment = {**home, "HF_ENDPOINT": endpoint}
        with (
            running_worker(any_server, queue_id, model=REPOSITORY, environment=environment),
            Client(any_server.settings, queue_id) as client,
        ):
            ((_, result),) = client.wait([client.submit(Job(audio=audio))], timeout_seconds=60)
        assert result.transcript
        assert result.transcript.text == said
        assert result.model
        assert (result.model.name, result.model.digest) == (REPOSITORY, digest_model(model))

    with running_hub(model) as endpoint:
        words(endpoint)
    # Nobody is there any more, and nobody has to be.
    words(endpoint)
