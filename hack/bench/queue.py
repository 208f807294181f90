"""What the queue costs: CPU a job beside bare calls, its rate, and CPU by the queue's length."""

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

from hack.bench.yardstick import do_jobs
from whisperfleet.client import Client
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import Keys
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.queue import WorkQueue

__all__ = [
    "JOB",
    "WANTED_SHARE",
    "WANTED_SPREAD",
    "ClaimCost",
    "Cost",
    "Report",
    "Round",
    "measure",
]

# Of one worker without an engine: what its calls alone cost of its CPU a job, and how much more
# CPU a job may cost in a long queue than in a short one. Calls and worker are of one make, so a
# machine that is slow or busy is so for both (docs/benchmarks.md).
WANTED_SHARE: Final = 0.25
WANTED_SPREAD: Final = 0.10

_ROOT: Final = Path(__file__).parents[2]
JOB: Final = Job(
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
class Round:
    """One worker, its calls alone, and a loop that only takes and acknowledges, one after another.

    CPU in microseconds a job: of the worker's process and the server's beside it, and of the calls'
    thread and the server's beside that.
    """

    jobs_per_second: float
    bare_per_second: float
    worker_us: float
    server_us: float
    calls_us: float
    calls_server_us: float


@dataclass(frozen=True, slots=True)
class Report:
    """All figures; of those of the rounds the medians count."""

    jobs: int
    in_flight: int
    rounds: tuple[Round, ...]
    costs: tuple[Cost, ...]
    claims: tuple[ClaimCost, ...]

    @property
    def shares(self) -> list[float]:
        """What the calls alone cost of the worker's CPU, in each round."""
        return [one.calls_us / one.worker_us for one in self.rounds]

    @property
    def share(self) -> float:
        """The median of `shares`."""
        return statistics.median(self.shares)

    @property
    def rate_ratios(self) -> list[float]:
        """The worker's rate to the bare loop's, in each round: wall clock beside wall clock."""
        return [one.jobs_per_second / one.bare_per_second for one in self.rounds]

    def median(self, figure: str) -> float:
        """Return the median of a figure of the rounds, by its name."""
        return float(statistics.median(getattr(one, figure) for one in self.rounds))

    def shortfalls(self) -> list[str]:
        """Return a sentence for each figure that is not what is wanted of it."""
        found = []
        if self.share < WANTED_SHARE:
            found.append(
                f"the calls of a job alone cost {self.share:.2f} of the CPU that one costs the "
                f"worker, not {WANTED_SHARE} or more"
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
    """Measure everything on one server, the worker and the yardsticks by turns."""
    return Report(
        jobs=jobs,
        in_flight=in_flight,
        rounds=tuple(_round(server, jobs, in_flight) for _ in range(rounds)),
        costs=_costs(server, depths, in_flight),
        claims=tuple(_claim_cost(server, depth) for depth in depths),
    )


def _round(server: EmbeddedServer, jobs: int, in_flight: int) -> Round:
    per_second, (worker_us, _, server_us) = _worker_run(server, jobs, jobs, in_flight)
    calls_us, calls_server_us = _calls_cost(server, jobs)
    return Round(
        jobs_per_second=per_second,
        bare_per_second=_bare_rate(server, jobs),
        worker_us=worker_us,
        server_us=server_us,
        calls_us=calls_us,
        calls_server_us=calls_server_us,
    )


def _calls_cost(server: EmbeddedServer, jobs: int) -> tuple[float, float]:
    """Return CPU microseconds a job of bare calls and of the server beside them."""
    with _queued(server, jobs) as keys:
        client = server.settings.connect()
        before = _cpu_seconds(server.pid)
        seconds = do_jobs(client, keys, jobs)
        return seconds / jobs * _US, (_cpu_seconds(server.pid) - before) / jobs * _US


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
                _worker_run(server, depth, jobs, in_flight)[1] for _ in range(_JOBS_A_TURN // jobs)
            ]
    return tuple(
        Cost(depth, *(statistics.median(part) for part in zip(*of_depth, strict=True)))
        for depth, of_depth in runs.items()
    )


def _worker_run(
    server: EmbeddedServer, depth: int, jobs: int, in_flight: int
) -> tuple[float, tuple[float, float, float]]:
    """Have a worker do the first jobs of so many.

    Return jobs a second from the first claim to the last done event, and CPU microseconds of
    worker, lease process and server for each job after the warm-up.
    """
    with _queued(server, depth) as keys, _gated_worker(server, keys, in_flight) as worker:
        client = server.settings.connect()
        (lease_process,) = _children(worker.pid)
        pids = (worker.pid, lease_process, server.pid)
        began = time.time()
        _open_gate(worker)
        first = _wait_for_done(client, keys, int(jobs * _WARM_UP))
        before = [_cpu_seconds(pid) for pid in pids]
        last = _wait_for_done(client, keys, jobs)
        after = [_cpu_seconds(pid) for pid in pids]
        newest: Any = client.xrevrange(keys.done, count=1)
    # The server's clock, which is this machine's: milliseconds are in the id of the event.
    seconds = int(newest[0][0].partition(b"-")[0]) / 1000 - began
    worker_us, lease_us, server_us = (
        (end - start) / (last - first) * _US for start, end in zip(before, after, strict=True)
    )
    return last / seconds, (worker_us, lease_us, server_us)


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
        producer.submit_many(JOB for _ in range(jobs))
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
