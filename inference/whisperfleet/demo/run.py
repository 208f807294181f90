"""The demo: a queue of its own, a real worker, and clips whose words are known."""

import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import redis

from whisperfleet.client import Client
from whisperfleet.contract.keys import Keys
from whisperfleet.contract.result import Result
from whisperfleet.demo.clips import Clip, count_wrong_words, words_of
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.demo.worker import DemoError, DemoWorker, run_worker

__all__ = ["DemoRun", "Heard", "run_demo"]

QUEUE_ID = "demo.whisperfleet"
PRIORITY = "normal"
_MODEL = "demo"
_WORDS_SECONDS = 120.0
_LOOK_SECONDS = 0.5


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
        folders = [clip.path.parent for clip in clips]
        with run_worker(server.url, QUEUE_ID, _MODEL, folders) as worker:
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


def _results(client: Client, worker: DemoWorker, job_ids: set[str]) -> Iterator[tuple[str, Result]]:
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
