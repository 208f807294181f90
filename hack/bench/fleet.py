"""One worker on a queue of its own, and the worker's program: ``python -m hack.bench.fleet``.

The program is `whisperfleet worker`; with random weights it has one change: every text has the same
number of tokens and, but where fallback is measured, is tried once, so that all contenders do the
same work.
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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from whisperfleet.cli import main
from whisperfleet.client import Client
from whisperfleet.contract.job import Job
from whisperfleet.contract.result import Result
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.worker.process import run_worker
from whisperfleet.worker.settings import WorkerSettings

__all__ = ["Fleet", "FleetError", "running_fleet", "running_worker"]

_ROOT: Final = Path(__file__).parents[2]
_READY_SECONDS: Final = 300.0
# How often a worker that answers nothing is looked after, and when it is given up.
_LOOK_SECONDS: Final = 5.0
_WAIT_SECONDS: Final = 900.0
_DECODING: Final = "WHISPERFLEET_BENCH_DECODING"


class FleetError(RuntimeError):
    """The worker that is measured did not start, ended, or did not do what it was asked for."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """A worker that is ready. `startup_seconds` is its own count, the interpreter included."""

    client: Client
    port: int
    startup_seconds: float
    worker: "subprocess.Popen[bytes]"
    log: Path

    def recognise(self, files: Sequence[Path]) -> tuple[float, list[Result]]:
        """Send files at once; return the seconds to the last result, and the results in order.

        Raises FleetError where one is not done or has no words.
        """
        began = time.perf_counter()
        ids = [self.client.submit(Job(url=file.as_uri(), language="en")) for file in files]
        results = self._wait(ids)
        seconds = time.perf_counter() - began
        for file, job_id in zip(files, ids, strict=True):
            result = results[job_id]
            if result.transcript is None:
                raise FleetError(f"the job of {file.name} is {result.state}: {result.error}")
            if not result.transcript.segments:
                raise FleetError(f"the worker found no words in {file.name}, which has some")
        return seconds, [results[job_id] for job_id in ids]

    def counted(self, name: str) -> float:
        """Return the sum of the metrics of a name."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.split()[0] == name)

    def _wait(self, ids: Sequence[str]) -> dict[str, Result]:
        results: dict[str, Result] = {}
        ends = time.monotonic() + _WAIT_SECONDS
        while left := set(ids) - results.keys():
            if self.worker.poll() is not None or time.monotonic() > ends:
                raise FleetError(
                    f"{len(left)} of {len(ids)} jobs have no result, and the worker's exit code is "
                    f"{self.worker.poll()}; its log ends with:\n{self.log.read_text()[-2000:]}"
                )
            try:
                results.update(self.client.wait(left, _LOOK_SECONDS))
            except TimeoutError:
                continue
        return results


@contextmanager
def running_fleet(
    server: EmbeddedServer,
    queue_id: str,
    model: Path,
    tokens: int,
    *options: str,
    temperatures: Sequence[float] = (0.0,),
) -> Iterator[Fleet]:
    """Start a worker with a model of random weights; it is stopped when the context is left.

    Raises FleetError where it does not get ready.
    """
    decoding = {
        "temperatures": temperatures,
        "tokens_per_second": 0.0,
        "tokens_per_window": tokens,
        # A text whose only timestamp is a later one would be taken for one that ends there, and
        # what follows would be read again.
        "max_initial_timestamp": 0.0,
    }
    same_work = {_DECODING: json.dumps(decoding)}
    with running_worker(server, queue_id, model, *options, environment=same_work) as fleet:
        yield fleet


@contextmanager
def running_worker(
    server: EmbeddedServer,
    queue_id: str,
    model: Path,
    *options: str,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Fleet]:
    """Start a worker as it is shipped but for its cache; it is stopped when the context is left.

    Raises FleetError where it does not get ready.
    """
    with (
        tempfile.NamedTemporaryFile("w+", suffix=".log") as log,
        Client(server.settings, queue_id) as client,
        subprocess.Popen(
            [
                *(sys.executable, "-m", "hack.bench.fleet", "worker"),
                *("--redis", server.url, "--queue", queue_id, "--model", str(model)),
                *("--http-port", "0", "--cache-seconds", "0", *options),
            ],
            cwd=_ROOT,
            env={**os.environ, **environment},
            # Closed by the kernel however this process ends; the worker ends with it.
            stdin=subprocess.PIPE,
            stderr=log,
        ) as worker,
    ):
        try:
            path = Path(log.name)
            ready = _wait_for(path, worker, "ready")
            port = _wait_for(path, worker, "starting")["http_port"]
            yield Fleet(client, int(str(port)), float(str(ready["seconds"])), worker, path)
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
    raise FleetError(f"the worker did not say {message!r}; its log:\n{log.read_text()[-2000:]}")


def _end_with_parent() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGKILL)


def _do_same_work(decoding: dict[str, Any], settings: WorkerSettings) -> int:
    decoding["temperatures"] = tuple(decoding["temperatures"])
    same = replace(
        settings,
        decoding=replace(settings.decoding, **decoding),
        # A prompt would leave fewer tokens for the text.
        segmentation=replace(settings.segmentation, condition_on_previous_text=False),
    )
    return run_worker(same)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if _DECODING in os.environ:
        main(partial(_do_same_work, json.loads(os.environ[_DECODING])))
    else:
        main()
