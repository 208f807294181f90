"""A real admission webhook on loopback, which changes Deployments on their way in."""

import base64
import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from support.cluster.kube import Json, Kube

MIRROR: Final = "mirror.invalid/worker:1"
_IMAGE: Final = "/spec/template/spec/containers/0/image"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        review: Json = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        patch = [{"op": "replace", "path": _IMAGE, "value": MIRROR}]
        response = {
            "uid": review["request"]["uid"],
            "allowed": True,
            "patchType": "JSONPatch",
            "patch": base64.b64encode(json.dumps(patch).encode()).decode(),
        }
        answer = {
            "apiVersion": review["apiVersion"],
            "kind": review["kind"],
            "response": response,
        }
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True


@contextmanager
def mirroring(kube: Kube, namespace: str, folder: Path) -> Iterator[None]:
    """While it lasts the Deployments of the namespace get another image than they ask for.

    The API server must run on this machine.
    """
    certificate, key = _certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = _Server(("127.0.0.1", 0), _Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    file = folder / "webhook.json"
    file.write_text(json.dumps(_configuration(namespace, server.server_port, certificate)))
    try:
        kube.run("apply", "-f", str(file))
        yield
    finally:
        kube.run("delete", "-f", str(file), "--ignore-not-found")
        server.shutdown()
        thread.join()
        server.server_close()


def _configuration(namespace: str, port: int, certificate: Path) -> Json:
    rule = {
        "apiGroups": ["apps"],
        "apiVersions": ["v1"],
        "resources": ["deployments"],
        "operations": ["CREATE", "UPDATE"],
    }
    authority = base64.b64encode(certificate.read_bytes()).decode()
    webhook = {
        "name": "mirror.example.org",
        "clientConfig": {"url": f"https://127.0.0.1:{port}/", "caBundle": authority},
        "rules": [rule],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "timeoutSeconds": 10,
        "failurePolicy": "Fail",
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": f"mirror-{namespace}"},
        "webhooks": [webhook],
    }


def _certificate(folder: Path) -> tuple[Path, Path]:
    certificate, key = folder / "webhook.crt", folder / "webhook.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"),
            *("ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key
