"""A server on loopback that answers exactly the bytes a test gives it, and counts who connects."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

TLS = Path(__file__).parent / "tls"
# The head of an answer whose body comes in chunks.
CHUNKED = b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n"

Answer = bytes | Callable[[socket.socket], None]


def response(body: bytes = b"", status: int = 200, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} x", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def redirect(to: str, status: int = 302) -> bytes:
    return response(b"elsewhere", status, f"Location: {to}")


def drip(piece: bytes, *, every: float = 0.02) -> Callable[[socket.socket], None]:
    """Send a piece again and again until the client has gone."""

    def send(client: socket.socket) -> None:
        while True:
            client.sendall(piece)
            time.sleep(every)

    return send


def silence(client: socket.socket) -> None:
    """Say nothing until the client has gone."""
    client.recv(1)


@dataclass
class Server:
    """Answers by path; `requests` holds the head of each request as text."""

    port: int
    host: str
    answers: dict[str, Answer] = field(default_factory=dict)
    connections: int = 0
    requests: list[str] = field(default_factory=list)
    greeting: bytes = b""

    def url(self, path: str, host: str | None = None, scheme: str = "http") -> str:
        own = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host or own}:{self.port}{path}"

    def serve(self, client: socket.socket) -> None:
        client.sendall(self.greeting)
        head = b""
        while b"\r\n\r\n" not in head:
            if not (piece := client.recv(4096)):
                return
            head += piece
        text = head.decode()
        self.requests.append(text)
        path = text.split(" ")[1].partition("?")[0]
        answer = self.answers.get(path, response(b"", 404))
        if callable(answer):
            answer(client)
        else:
            client.sendall(answer)


@contextmanager
def serving(host: str = "127.0.0.1", *, tls: bool = False) -> Iterator[Server]:
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(TLS / "audio.test.pem")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:
        server = Server(listener.getsockname()[1], host)
        thread = threading.Thread(target=_accept, args=(listener, server, context))
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _accept(listener: socket.socket, server: Server, context: ssl.SSLContext | None) -> None:
    threads = []
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            break
        server.connections += 1
        threads.append(threading.Thread(target=_serve_one, args=(client, server, context)))
        threads[-1].start()
    for thread in threads:
        thread.join()


def _serve_one(client: socket.socket, server: Server, context: ssl.SSLContext | None) -> None:
    with suppress(OSError), client:
        client.settimeout(20)
        if context is None:
            server.serve(client)
        else:
            with context.wrap_socket(client, server_side=True) as secured:
                server.serve(secured)
