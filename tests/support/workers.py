"""Real worker processes for tests."""

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

import pytest

from hack.process_tree import process_tree, resident_bytes
from support.servers import wait_for

READY_SECONDS = 60.0
STOP_SECONDS = 60.0

# `whisperfleet worker` as it is installed, and with an engine that a job's prompt directs.
PLAIN = ("-m", "whisperfleet")
DIRECTED = (str(Path(__file__).with_name("programs") / "directed_worker.py"),)


class Addressed(Protocol):
    """A server, or what stands in front of one."""

    @property
    def url(self) -> str: ...


@dataclass
class Worker:
    """A worker process; `log` holds what it has said so far, a dict a line."""

    process: "subprocess.Popen[str]"
    log: list[dict[str, Any]] = field(default_factory=list)
    listener: threading.Thread | None = None

    @property
    def raw_log(self) -> str:
        return "\n".join(json.dumps(line) for line in list(self.log))

    @property
    def port(self) -> int:
        return next((line["http_port"] for line in list(self.log) if "http_port" in line), 0)

    def get(self, path: str) -> tuple[int, str]:
        """Return the status and the body of the worker's own HTTP answer."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}{path}", timeout=30
            ) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def counted(self, name: str) -> float:
        """Return the sum of the metrics whose name and labels begin so."""
        lines = self.get("/metrics")[1].splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))

    def said(self, message: str) -> bool:
        return any(message in str(line.get("message")) for line in list(self.log))

    def wait_until_ready(self) -> None:
        wait_for(
            lambda: self.said("ready") or self.process.poll() is not None,
            "the worker is ready",
            READY_SECONDS,
        )
        assert self.process.poll() is None, self.raw_log

    def terminate(self) -> int:
        """Ask the worker to end and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Return the exit code of a worker that ends by itself."""
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            # It writes what its threads are at, and ends.
            self.process.send_signal(signal.SIGABRT)
            self._listen_out(10.0)
            pytest.fail(f"the worker did not end within {STOP_SECONDS:g} s:\n{self.raw_log}")
        self._listen_out()
        return code

    def _listen_out(self, seconds: float | None = None) -> None:
        if self.listener:
            self.listener.join(seconds)

    def kill(self) -> None:
        self.process.kill()
        self.wait()

    def listen(self, stderr: IO[str]) -> None:
        with stderr:
            for line in stderr:
                try:
                    self.log.append(json.loads(line))
                except json.JSONDecodeError:
                    self.log.append({"message": line.rstrip()})


def start_worker(
    server: Addressed,
    queue_id: str,
    *options: str,
    model: str = "demo",
    program: tuple[str, ...] = PLAIN,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Worker:
    """Start a worker and return at once."""
    process = subprocess.Popen(
        [
            *(sys.executable, *program, "worker"),
            *("--redis", server.url, "--queue", queue_id, "--model", model),
            *("--http-port", "0", "--device", "cpu", *options),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            # SIGABRT has it write the stacks of all threads.
            "PYTHONFAULTHANDLER": "1",
            **(environment or {}),
        },
    )
    worker = Worker(process)
    worker.listener = threading.Thread(target=worker.listen, args=(process.stderr,), daemon=True)
    worker.listener.start()
    return worker


@contextmanager
def running_worker(server: Addressed, queue_id: str, *options: str, **how: Any) -> Iterator[Worker]:
    """A worker that is ready; it must drain and end well when the context is left."""
    worker = start_worker(server, queue_id, *options, **how)
    try:
        worker.wait_until_ready()
        yield worker
        if worker.process.poll() is None:
            assert worker.terminate() == 0, worker.raw_log
    finally:
        worker.kill()


def signal_tree(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process and everything below it."""
    for process in process_tree(pid):
        with suppress(ProcessLookupError):
            os.kill(process, number)


def freeze(pid: int) -> None:
    """Stop a process, and return once each of its threads stands still.

    A thread that the signal finds within a system call ends that first: on a busy machine it may
    still send a request after the signal was sent.
    """
    os.kill(pid, signal.SIGSTOP)
    threads = Path(f"/proc/{pid}/task")
    wait_for(lambda: all(map(_stands_still, threads.iterdir())), f"process {pid} stands still")


def _stands_still(thread: Path) -> bool:
    try:
        # proc(5), /proc/<pid>/stat: the state follows the name, which may hold anything.
        return (thread / "stat").read_text().rpartition(")")[2].split()[0] == "T"
    except FileNotFoundError:
        return True  # it has ended


def children_running(pid: int, module: str) -> list[int]:
    """Return the descendants of a process that run a Python module."""
    return [child for child in process_tree(pid)[1:] if module.encode() in _command_line(child)]


def _command_line(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


def sample_peak(pid: int, stop: threading.Event, every_seconds: float = 0.1) -> int:
    """Return the most resident memory that was seen until `stop` is set."""
    peak = 0
    while not stop.wait(every_seconds):
        peak = max(peak, resident_bytes(pid))
    return max(peak, resident_bytes(pid))
