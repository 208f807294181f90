"""The null workers: started, killed, frozen, and started again."""

import os
import re
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

__all__ = ["Fleet", "Leases", "Worker"]

_ROOT: Final = Path(__file__).parents[2]
_NULL_WORKER: Final = (sys.executable, "-m", "hack.null_worker")
_CONSUMER: Final = re.compile(r"null-(\d+)-")
# What is told of an unexpected error: a traceback, or a line of the log with one in it.
_TOLD_CHARACTERS: Final = 4000


@dataclass(frozen=True, slots=True)
class Leases:
    """How long a lease of the fleet lasts, and all that follows from it. Seconds."""

    lease: float

    @property
    def beat(self) -> float:
        """How often a lease is renewed."""
        return self.lease / 4

    @property
    def reclaim(self) -> float:
        """How often a worker looks for expired leases."""
        return self.lease / 4

    @property
    def drain(self) -> float:
        """The notice of a SIGTERM: shorter than the longest jobs."""
        return self.lease / 2


@dataclass
class Worker:
    """One worker process. `frozen` are the processes that a SIGSTOP has stopped."""

    process: subprocess.Popen[bytes]
    frozen: list[int] = field(default_factory=list)

    @property
    def is_up(self) -> bool:
        """Whether it runs and is not frozen."""
        return self.process.poll() is None and not self.frozen

    def children(self) -> list[int]:
        """Return its child processes: the lease process."""
        found: list[int] = []
        # A child is listed under the thread that started it.
        for threads in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            with suppress(FileNotFoundError, ProcessLookupError):
                found += map(int, threads.read_text("ascii").split())
        return found

    def freeze(self, *, with_children: bool) -> None:
        """Stop it as a suspended machine would, or the main process alone."""
        self.frozen = [self.process.pid, *(self.children() if with_children else ())]
        for pid in self.frozen:
            _signal(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on as if no time had passed."""
        for pid in self.frozen:
            _signal(pid, signal.SIGCONT)
        self.frozen = []

    def kill_children(self) -> None:
        """Kill the lease process alone."""
        for pid in self.children():
            _signal(pid, signal.SIGKILL)


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


class Fleet:
    """So many workers; whichever ends is started again a moment later.

    With `beside` every second one runs that command: a null worker of another version, say, which
    takes the same options and names its consumer alike.
    """

    def __init__(
        self,
        size: int,
        url: str,
        queue_id: str,
        leases: Leases,
        in_flight: int,
        logs: Path,
        beside: Sequence[str] = (),
    ) -> None:
        self.deaths = 0
        # By process id: the moments at which one was taken from its jobs, in Unix seconds.
        self._gone: defaultdict[int, list[float]] = defaultdict(list)
        self._logs = logs
        self._commands = [_NULL_WORKER, *([beside] if beside else [])]
        self._options = [
            *("--redis", url, "--queue", queue_id),
            *("--lease", str(leases.lease), "--beat", str(leases.beat)),
            *("--reclaim", str(leases.reclaim), "--drain", str(leases.drain)),
            *("--in-flight", str(in_flight), "--log-level", "warning"),
        ]
        self._size = size
        self._started = 0
        self._members: list[Worker] = []

    def __enter__(self) -> Self:
        self._members = [self._start(place) for place in range(self._size)]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for worker in self._members:
            worker.thaw()
            worker.process.kill()
            worker.process.wait()

    def up(self) -> list[Worker]:
        """Return the workers that run, in the order of their places."""
        return [worker for worker in self._members if worker.is_up]

    def replace_dead(self) -> None:
        """Start a worker in the place of each that has ended."""
        for place, worker in enumerate(self._members):
            if worker.process.poll() is None:
                continue
            self.deaths += 1
            self.note_gone(worker)
            self._members[place] = self._start(place)

    def note_gone(self, worker: Worker) -> None:
        """Remember that a worker does nothing for its jobs from now on."""
        self._gone[worker.process.pid].append(time.time())

    def lost_seconds(self, history: str) -> Iterator[float]:
        """Yield how long a job had been without its worker, for each time it lost one.

        `history` is the job's own record of that: Unix milliseconds and a sentence a line.
        """
        for line in history.splitlines():
            moment, _, sentence = line.partition(" ")
            if not sentence.startswith("lost its worker") or not (
                found := _CONSUMER.search(sentence)
            ):
                continue
            reclaimed = int(moment) / 1000
            if before := [gone for gone in self._gone[int(found[1])] if gone < reclaimed]:
                yield reclaimed - max(before)

    def tracebacks(self) -> list[str]:
        """Return what the logs tell of errors that nobody expected, each with what follows it."""
        return [
            f"TRACEBACK in {log.name}: {text[found.start() :][:_TOLD_CHARACTERS]}"
            for log in sorted(self._logs.iterdir())
            for text in (log.read_text("utf-8", "replace"),)
            for found in re.finditer(r"^.*raceback", text, re.MULTILINE)
        ]

    def _start(self, place: int) -> Worker:
        self._started += 1
        command = [*self._commands[place % len(self._commands)], *self._options]
        with (self._logs / f"worker-{self._started}.log").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=_ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        return Worker(process)
