"""So much of an API server that an operator's process starts: discovery, lists, watches that rest.

For what `FakeKube`, within a process, cannot show. Without TLS and without logins.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

Json = dict[str, Any]

_GROUP: Final = "whisperfleet.io"
_VERSION: Final = f"{_GROUP}/v1alpha1"


def _resource(name: str, kind: str, *, namespaced: bool) -> Json:
    return {
        "name": name,
        "kind": kind,
        "singularName": kind.lower(),
        "namespaced": namespaced,
        "verbs": ["get", "list", "watch", "patch"],
    }


class StubApi:
    """Answers by path with `documents`, 404 where there is none, and not at all for `silent` paths.

    `ended` is set when it is to end; who is kept waiting waits for it.
    """

    def __init__(self) -> None:
        self.documents: dict[str, Json] = {
            "/api": {"versions": ["v1"]},
            "/api/v1": {"resources": [_resource("namespaces", "Namespace", namespaced=False)]},
            "/apis": {"groups": []},
            "/api/v1/namespaces/kube-system": {"metadata": {"uid": "of-a-stub"}},
        }
        self.silent: set[str] = set()
        self.ended = threading.Event()

    def serve(self, service: Json) -> None:
        """Know our resource, and this one object of it."""
        metadata = service["metadata"]
        known = {"groupVersion": _VERSION, "version": "v1alpha1"}
        listed = f"/apis/{_VERSION}/namespaces/{metadata['namespace']}/transcriptionservices"
        self.documents |= {
            "/apis": {"groups": [{"name": _GROUP, "versions": [known], "preferredVersion": known}]},
            f"/apis/{_VERSION}": {
                "resources": [
                    _resource("transcriptionservices", "TranscriptionService", namespaced=True)
                ]
            },
            listed: {"metadata": {"resourceVersion": "1"}, "items": [service]},
            f"{listed}/{metadata['name']}": service,
            f"{listed}/{metadata['name']}/status": service,
        }

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        address = urlsplit(request.path)
        request.rfile.read(int(request.headers.get("Content-Length", 0)))
        if address.path in self.silent:
            self.ended.wait()
            return
        document = self.documents.get(address.path)
        request.send_response(404 if document is None else 200)
        request.send_header("Content-Type", "application/json")
        if "watch=" in address.query:
            request.end_headers()
            self.ended.wait()
            return
        body = json.dumps(document or {"message": "not found"}).encode()
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    stub: StubApi


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.stub.answer(self)

    do_PATCH = do_POST = do_GET  # noqa: N815 - the names that the class wants

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@contextmanager
def stub_api(folder: Path) -> Iterator[tuple[StubApi, Path]]:
    """A running stub and a kubeconfig for it."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.stub = StubApi()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    kubeconfig = folder / "stub.kubeconfig"
    named = {"name": "stub"}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [named | {"cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "users": [named | {"user": {}}],
        "contexts": [named | {"context": {"cluster": "stub", "user": "stub"}}],
        "current-context": "stub",
    }
    kubeconfig.write_text(yaml.safe_dump(config))
    try:
        yield server.stub, kubeconfig
    finally:
        server.stub.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()
