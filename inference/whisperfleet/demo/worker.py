"""A worker of one's own beside an embedded server, for the demo and for trying out."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from whisperfleet.errors import StartupError, WhisperfleetError

__all__ = ["DemoError", "DemoWorker", "run_worker"]

_READY_SECONDS = 60.0
_STOP_SECONDS = 15.0


class DemoError(WhisperfleetError):
    """The worker of the demo did not do its part."""


class DemoWorker:
    """The worker's process, and the log that it writes."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self._process = process
        self._log = log

    @property
    def pid(self) -> int:
        """The worker's process id."""
        return self._process.pid

    def wait_until_ready(self) -> float:
        """Return how many seconds the worker says its process took to be ready."""
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline:
            for line in self._lines():
                if line.get("message") == "ready":
                    return float(line["seconds"])
            self.check_alive()
            time.sleep(0.01)
        raise StartupError(
            f"the worker was not ready after {_READY_SECONDS:g} s{self._last_words()}; try again "
            "on a machine that is less busy"
        )

    def check_alive(self) -> None:
        """Raise DemoError when the process has ended."""
        if (code := self._process.poll()) is not None:
            raise DemoError(f"the worker ended with exit code {code}{self._last_words()}")

    def stop(self) -> None:
        """Ask the worker to end. Raises DemoError where it does not end in order."""
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise DemoError(
                f"the worker did not end within {_STOP_SECONDS:g} s of SIGTERM{self._last_words()}"
            ) from None
        if code != 0:
            raise DemoError(
                f"the worker ended with exit code {code} after SIGTERM{self._last_words()}"
            )

    def _lines(self) -> Iterator[dict[str, str]]:
        for line in self._log.read_text("utf-8", "replace").splitlines():
            try:
                document = json.loads(line)
            except ValueError:
                # Half a line, or a library's own.
                continue
            if isinstance(document, dict):
                yield document

    def _last_words(self) -> str:
        messages = [line["message"] for line in self._lines() if "message" in line]
        if messages:
            return f"; its last words were: {messages[-1]}"
        tail = self._log.read_text("utf-8", "replace").strip().splitlines()
        return f"; its last words were: {tail[-1]}" if tail else ""


@contextmanager
def run_worker(
    redis_url: str, queue_id: str, model: str, folders: Iterable[Path]
) -> Iterator[DemoWorker]:
    """Run a worker on the processor; it may read these folders and nothing else."""
    roots = sorted({str(folder.resolve()) for folder in folders})
    options = {
        "redis": redis_url,
        "queue": queue_id,
        "model": model,
        "device": "cpu",
        "file-roots": os.pathsep.join(roots),
        "http-port": "0",
    }
    arguments = [f"--{name}={value}" for name, value in options.items()]
    # What the surroundings say about a fleet's workers is not for this one.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WHISPERFLEET_")}
    with tempfile.TemporaryDirectory(prefix="whisperfleet-demo-") as folder:
        log = Path(folder) / "worker.log"
        with log.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "whisperfleet", "worker", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                env=environment,
                # Ctrl-C in a terminal is for the demo, which then ends the worker in order.
                process_group=0,
            )
        try:
            yield DemoWorker(process, log)
        finally:
            _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Leave no process behind, however the demo ends."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    finally:
        # Also when a second Ctrl-C cuts the wait short. A process that has ended is left alone.
        process.kill()
        process.wait()
