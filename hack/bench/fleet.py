"""One worker on a queue of its own, and the worker's program: ``python -m hack.bench.fleet``.

The program is `whisperfleet worker` with one change: every text has the same number of tokens and
is tried once, so that all contenders do the same work.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from whisperfleet.cli import main, worker_settings
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.engine.options import DecodingOptions

__all__ = ["Fleet", "running_fleet"]

_ROOT: Final = Path(__file__).parents[2]
_READY_SECONDS: Final = 300.0
_TOKENS: Final = "WHISPERFLEET_BENCH_TOKENS"


@dataclass(frozen=True, slots=True)
class Fleet:
    """A worker that is ready. `startup_seconds` is its own count, the interpreter included."""

    server: EmbeddedServer
    queue_id: str
    port: int
    startup_seconds: float

    def counted(self, name: str) -> float:
        """Return the sum of the metrics of a name."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.split()[0] == name)


@contextmanager
def running_fleet(
    server: EmbeddedServer, queue_id: str, model: Path, tokens: int, *options: str
) -> Iterator[Fleet]:
    """Start a worker with a model of random weights; it is stopped when the context is left."""
    environment = {**os.environ, _TOKENS: str(tokens)}
    with (
        tempfile.NamedTemporaryFile("w+", suffix=".log") as log,
        subprocess.Popen(
            [
                *(sys.executable, "-m", "hack.bench.fleet", "worker"),
                *("--redis", server.url, "--queue", queue_id, "--model", str(model)),
                *("--http-port", "0", "--cache-seconds", "0", *options),
            ],
            cwd=_ROOT,
            env=environment,
            # Closed by the kernel however this process ends; the worker ends with it.
            stdin=subprocess.PIPE,
            stderr=log,
        ) as worker,
    ):
        try:
            ready = _wait_for(Path(log.name), worker, "ready")
            port = _wait_for(Path(log.name), worker, "starting")["http_port"]
            yield Fleet(server, queue_id, int(str(port)), float(str(ready["seconds"])))
        finally:
            worker.send_signal(signal.SIGKILL)


def _wait_for(log: Path, worker: "subprocess.Popen[bytes]", message: str) -> dict[str, object]:
    """Return the line of the worker's log with this message."""
    ends = time.monotonic() + _READY_SECONDS
    while time.monotonic() < ends and worker.poll() is None:
        for line in log.read_text().splitlines():
            if line.startswith("{") and json.loads(line).get("message") == message:
                found: dict[str, object] = json.loads(line)
                return found
        time.sleep(0.05)
    sys.exit(f"the worker did not say {message!r}:\n{log.read_text()}")


def _end_with_parent() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    worker_settings.DecodingOptions = partial(  # type: ignore[attr-defined, assignment]
        DecodingOptions,
        temperatures=(0.0,),
        tokens_per_second=0.0,
        tokens_per_window=int(os.environ[_TOKENS]),
    )
    main()
