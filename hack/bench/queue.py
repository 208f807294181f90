"""What the queue costs: its rate against a bare loop, and CPU a job by the queue's length."""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import IO, Any, Final

import redis

from whisperfleet.client import Client
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import Keys
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.queue import WorkQueue

__all__ = [
    "WANTED_PER_SECOND",
    "WANTED_RATIO",
    "WANTED_SPREAD",
    "ClaimCost",
    "Cost",
    "Report",
    "measure",
]

# Of one worker without an engine: jobs a second, their ratio to a bare loop's, and how much more
# CPU a job may cost in a long queue than in a short one.
WANTED_PER_SECOND: Final = 1500.0
WANTED_RATIO: Final = 0.35
WANTED_SPREAD: Final = 0.10

_ROOT: Final = Path(__file__).parents[2]
_JOB: Final = Job(
    url="https://media.example.org/calls/2026/11/0001.wav",
    language="en",
    metadata={"call": "0001", "campaign": "autumn"},
)
_LOOK_SECONDS: Final = 0.002
_IDLE_SECONDS: Final = 0.3
# Shares of a run before the clock of the CPU starts, so that nothing is paid for the first time.
_WARM_UP: Final = 0.2
_CLAIMS: Final = 300
_LIMIT_SECONDS: Final = 600.0
# Depths are compared by turns, each over so many jobs a turn, in as many runs as that takes. Of a
# deeper queue only these are done: it is as deep as it is said to be all the while.
_TURNS: Final = 3
_JOBS_A_TURN: Final = 10_000
_US: Final = 1e6

_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU microseconds a job, with so many jobs in the queue when the first was claimed."""

    queued: int
    worker_us: float
    lease_process_us: float
    server_us: float

    @property
    def total_us(self) -> float:
        """All of it."""
        return self.worker_us + self.lease_process_us + self.server_us


@dataclass(frozen=True, slots=True)
class ClaimCost:
    """Median wall-clock microseconds of one claim."""

    queued: int
    us: float


@dataclass(frozen=True, slots=True)
class Report:
    """All figures; rates are medians over the rounds."""

    jobs: int
    in_flight: int
    jobs_per_second: float
    bare_per_second: float
    ratios: tuple[float, ...]
    costs: tuple[Cost, ...]
    claims: tuple[ClaimCost, ...]

    @property
    def ratio(self) -> float:
        """The median ratio of the worker's rate to the bare loop's of the same round."""
        return statistics.median(self.ratios)

    def shortfalls(self) -> list[str]:
        """Return a sentence for each figure that is not what is wanted of it."""
        found = []
        if self.jobs_per_second < WANTED_PER_SECOND:
            found.append(
                f"one worker did {self.jobs_per_second:,.0f} jobs a second, not "
                f"{WANTED_PER_SECOND:,.0f}"
            )
        if self.ratio < WANTED_RATIO:
            found.append(
                f"one worker did {self.ratio:.2f} of what a bare loop does, not {WANTED_RATIO}"
            )
        if self.cost_spread > WANTED_SPREAD:
            found.append(
                f"a job costs {self.cost_spread:.1%} more at one depth of the queue than at "
                f"another, not at most {WANTED_SPREAD:.0%}"
            )
        return found

    @property
    def cost_spread(self) -> float:
        """How much more the dearest depth costs a job than the cheapest."""
        totals = [cost.total_us for cost in self.costs]
        return max(totals) / min(totals) - 1


def measure(
    server: EmbeddedServer, jobs: int, rounds: int, depths: tuple[int, ...], in_flight: int
) -> Report:
    """Measure everything on one server, the worker and the bare loop by turns."""
    rates = [
        (_worker_rate(server, jobs, in_flight), _bare_rate(server, jobs)) for _ in range(rounds)
    ]
    return Report(
        jobs=jobs,
        in_flight=in_flight,
        jobs_per_second=statistics.median(worker for worker, _ in rates),
        bare_per_second=statistics.median(bare for _, bare in rates),
        ratios=tuple(worker / bare for worker, bare in rates),
        costs=_costs(server, depths, in_flight),
        claims=tuple(_claim_cost(server, depth) for depth in depths),
    )


def _worker_rate(server: EmbeddedServer, jobs: int, in_flight: int) -> float:
    """Return jobs a second, from the first claim to the last done event."""
    with _queued(server, jobs) as keys, _gated_worker(server, keys, in_flight) as worker:
        client = server.settings.connect()
        began = time.time()
        _open_gate(worker)
        _wait_for_done(client, keys, jobs)
        newest: Any = client.xrevrange(keys.done, count=1)
        # The server's clock, which is this machine's: milliseconds are in the id of the event.
        return jobs / (int(newest[0][0].partition(b"-")[0]) / 1000 - began)


def _bare_rate(server: EmbeddedServer, jobs: int) -> float:
    """Return entries a second of a loop that does nothing but take and acknowledge."""
    with _queued(server, jobs) as keys:
        client = server.settings.connect()
        stream, group = keys.stream("normal"), keys.group
        client.xgroup_create(stream, group, id="0")
        began = time.perf_counter()
        for _ in range(jobs):
            reply: Any = client.xreadgroup(group, "bare", {stream: ">"}, count=1)
            client.xack(stream, group, reply[0][1][0][0])
        return jobs / (time.perf_counter() - began)


def _costs(server: EmbeddedServer, depths: tuple[int, ...], in_flight: int) -> tuple[Cost, ...]:
    """Return the median cost of a job at each depth."""
    runs: dict[int, list[tuple[float, float, float]]] = {depth: [] for depth in depths}
    for _ in range(_TURNS):
        for depth in depths:
            jobs = min(depth, _JOBS_A_TURN)
            runs[depth] += [
                _cost_of_run(server, depth, jobs, in_flight) for _ in range(_JOBS_A_TURN // jobs)
            ]
    return tuple(
        Cost(depth, *(statistics.median(part) for part in zip(*of_depth, strict=True)))
        for depth, of_depth in runs.items()
    )


def _cost_of_run(
    server: EmbeddedServer, depth: int, jobs: int, in_flight: int
) -> tuple[float, float, float]:
    """Return CPU microseconds of worker, lease process and server for each of the first jobs."""
    with _queued(server, depth) as keys, _gated_worker(server, keys, in_flight) as worker:
        client = server.settings.connect()
        (lease_process,) = _children(worker.pid)
        pids = (worker.pid, lease_process, server.pid)
        _open_gate(worker)
        first = _wait_for_done(client, keys, int(jobs * _WARM_UP))
        before = [_cpu_seconds(pid) for pid in pids]
        last = _wait_for_done(client, keys, jobs)
        after = [_cpu_seconds(pid) for pid in pids]
    worker_us, lease_us, server_us = (
        (end - start) / (last - first) * _US for start, end in zip(before, after, strict=True)
    )
    return worker_us, lease_us, server_us


def _claim_cost(server: EmbeddedServer, depth: int) -> ClaimCost:
    with _queued(server, depth) as keys:
        queue = WorkQueue(server.settings.connect(), keys, "claimer")
        seconds = []
        for _ in range(min(_CLAIMS, depth)):
            began = time.perf_counter()
            queue.claim()
            seconds.append(time.perf_counter() - began)
    return ClaimCost(depth, statistics.median(seconds) * _US)


@contextmanager
def _queued(server: EmbeddedServer, jobs: int) -> Iterator[Keys]:
    """Make a queue with so many jobs in it; it is gone afterwards."""
    queue_id = f"bench.{next(_numbers)}"
    with Client(server.settings, queue_id) as producer:
        producer.submit_many(_JOB for _ in range(jobs))
        yield producer.keys
    server.settings.connect().flushall()


@contextmanager
def _gated_worker(
    server: EmbeddedServer, keys: Keys, in_flight: int
) -> Iterator["subprocess.Popen[str]"]:
    """Start a null worker that claims once its gate is open. It logs to a file."""
    with tempfile.TemporaryFile("w") as log:
        worker = subprocess.Popen(
            [
                *(sys.executable, "-m", "hack.null_worker", "--gate"),
                *("--redis", server.url, "--queue", keys.queue_id),
                *("--in-flight", str(in_flight)),
            ],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        try:
            _pipe(worker.stdout).readline()
            for lease_process in _children(worker.pid):
                _wait_until_idle(lease_process)
            yield worker
        finally:
            worker.terminate()
            worker.communicate()


def _wait_until_idle(pid: int) -> None:
    """Return once a process has started up: its imports are no cost of a job."""
    before = -1.0
    while (now := _cpu_seconds(pid)) != before:
        before = now
        time.sleep(_IDLE_SECONDS)


def _open_gate(worker: "subprocess.Popen[str]") -> None:
    gate = _pipe(worker.stdin)
    gate.write("go\n")
    gate.flush()


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None, "the worker is started with pipes"
    return pipe


def _wait_for_done(client: redis.Redis, keys: Keys, jobs: int) -> int:
    """Return how many jobs are done once they are so many."""
    deadline = time.monotonic() + _LIMIT_SECONDS
    while (done := int(client.hget(keys.counters, "done") or 0)) < jobs:
        if time.monotonic() > deadline:
            sys.exit(f"only {done} of {jobs} jobs were done in {_LIMIT_SECONDS:.0f} s")
        time.sleep(_LOOK_SECONDS)
    return done


def _cpu_seconds(pid: int) -> float:
    """Return the CPU time of all threads of a process that are alive."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    # The scheduler's own count in nanoseconds; /proc/<pid>/stat counts in hundredths of a second.
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def _children(pid: int) -> list[int]:
    # A child is listed under the thread that started it.
    lists = [file.read_text() for file in Path(f"/proc/{pid}/task").glob("*/children")]
    return [int(child) for children in lists for child in children.split()]
