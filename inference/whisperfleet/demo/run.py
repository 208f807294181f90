"""The demo: a queue of its own, a real worker, and clips whose words are known."""

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from whisperfleet.client import Client
from whisperfleet.contract.keys import Keys
from whisperfleet.contract.result import Result
from whisperfleet.demo.clips import Clip, count_wrong_words, words_of
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.errors import StartupError, WhisperfleetError

__all__ = ["DemoError", "DemoRun", "Heard", "run_demo"]

QUEUE_ID = "demo.whisperfleet"
PRIORITY = "normal"
_MODEL = "demo"
_READY_SECONDS = 60.0
_WORDS_SECONDS = 120.0
_STOP_SECONDS = 15.0
_LOOK_SECONDS = 0.5


class DemoError(WhisperfleetError):
    """The worker of the demo did not do its part."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A clip and what the worker made of it."""

    clip: Clip
    result: Result

    @property
    def words(self) -> list[str]:
        """The words of the transcript."""
        return words_of(self.result.transcript.text) if self.result.transcript else []

    @property
    def wrong_words(self) -> int:
        """How many words are not what was said."""
        return count_wrong_words(self.clip.words, self.words)

    @property
    def real_time_factor(self) -> float:
        """Seconds of the engine for each second of audio."""
        return self.result.timing.engine / self.clip.seconds


@dataclass(frozen=True, slots=True)
class DemoRun:
    """All that a demo showed. `ready_seconds` is from the start of the worker to ready."""

    heard: tuple[Heard, ...]
    commands: tuple[str, ...]
    ready_seconds: float
    seconds: float

    @property
    def wrong_words(self) -> int:
        """How many words of all clips are not what was said."""
        return sum(heard.wrong_words for heard in self.heard)


def run_demo(
    clips: Sequence[Clip], begin: Callable[[str], None], hear: Callable[[Heard], None]
) -> DemoRun:
    """Start a server and a worker, send the clips as a person would, and stop everything again.

    `begin` is told of each step, `hear` of each transcript as it comes. Call it on the main thread.
    Raises StartupError where the server or the worker does not come up, DemoError where the worker
    ends early or not in order.
    """
    began = time.monotonic()
    begin("starting a Redis-compatible server")
    with EmbeddedServer() as server:
        begin("starting a worker")
        with _worker(server.url, clips) as worker:
            ready_seconds = worker.wait_until_ready()
            begin("transcribing")
            jobs, commands = _submit(server, clips)
            with Client(server.settings, QUEUE_ID) as client:
                heard = {}
                for job_id, result in _results(client, worker, set(jobs)):
                    heard[job_id] = Heard(jobs[job_id], result)
                    hear(heard[job_id])
            begin("stopping")
            worker.stop()
    return DemoRun(
        heard=tuple(heard[job_id] for job_id in jobs),
        commands=commands,
        ready_seconds=ready_seconds,
        seconds=time.monotonic() - began,
    )


def _submit(
    server: EmbeddedServer, clips: Sequence[Clip]
) -> tuple[dict[str, Clip], tuple[str, ...]]:
    """Send each clip by a plain XADD; return them by job id, and what a person would have typed."""
    stream = Keys(QUEUE_ID).stream(PRIORITY)
    jobs, commands = {}, []
    with server.settings.connect() as client:
        for position, clip in enumerate(clips):
            command = ["redis-cli", "-p", str(server.port)]
            field: dict[str | bytes, str | bytes]
            if position == 0:
                field = {"audio": clip.path.read_bytes()}
                command += ["-x", "XADD", stream, "*", "audio"]
                commands.append(f"{shlex.join(command)} < {shlex.quote(str(clip.path))}")
            else:
                field = {"url": clip.path.as_uri()}
                commands.append(
                    shlex.join([*command, "XADD", stream, "*", "url", clip.path.as_uri()])
                )
            entry = client.xadd(stream, field)
            assert isinstance(entry, bytes)  # noqa: S101 - redis-py types it for both of its clients
            jobs[f"{PRIORITY}-{entry.decode()}"] = clip
    return jobs, tuple(commands)


def _results(client: Client, worker: "_Worker", job_ids: set[str]) -> Iterator[tuple[str, Result]]:
    deadline = time.monotonic() + _WORDS_SECONDS
    left = set(job_ids)
    while left:
        try:
            for job_id, result in client.wait(left, _LOOK_SECONDS):
                left = left - {job_id}
                yield job_id, result
        except TimeoutError:
            worker.check_alive()
            if time.monotonic() > deadline:
                raise DemoError(
                    f"{len(left)} clips have no words after {_WORDS_SECONDS:g} s; try again on a "
                    "machine that is less busy"
                ) from None
        except redis.ConnectionError as error:
            raise DemoError(f"the demo's server went away ({error}); try again") from error


class _Worker:
    """The worker's process, and the log that it writes."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self._process = process
        self._log = log

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
def _worker(redis_url: str, clips: Sequence[Clip]) -> Iterator[_Worker]:
    """Run a worker on the demo model; it may read the clips' folders and nothing else."""
    roots = sorted({str(clip.path.parent.resolve()) for clip in clips})
    options = {
        "redis": redis_url,
        "queue": QUEUE_ID,
        "model": _MODEL,
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
                [sys.executable, "-m", "whisperfleet", "worker", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                env=environment,
                # Ctrl-C in a terminal is for the demo, which then ends the worker in order.
                process_group=0,
            )
        try:
            yield _Worker(process, log)
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
