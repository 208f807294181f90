"""The worker that is measured does not outlive who measures."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from hack.bench import recognition
from servers import wait_for
from workers import process_tree

ROOT = Path(__file__).parents[2]

# Says that the worker is ready, and waits to be killed.
PROGRAM = """
import sys
from pathlib import Path
from hack.bench.fleet import running_fleet
from whisperfleet.demo.server import EmbeddedServer
with EmbeddedServer() as server:
    with running_fleet(server, "bench.test", Path(sys.argv[1]), 20) as fleet:
        print("ready", flush=True)
        sys.stdin.read()
"""


def test_a_bench_that_is_killed_leaves_no_worker_behind():
    model = ROOT / "inference" / "whisperfleet" / "demo" / "data" / "model"
    bench = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(model)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    with bench:
        assert bench.stdout.readline() == b"ready\n"
        family = process_tree(bench.pid)[1:]
        assert len(family) > 3, "a server, a worker and its own processes"
        bench.send_signal(signal.SIGKILL)
    wait_for(lambda: not any(running(pid) for pid in family), "all have ended")


def running(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_a_full_run_is_bounded():
    """Windows that all contenders decode, at some 0.7 s each on two quiet cores."""
    plan = recognition.FULL
    lengths = [*plan.alike, *plan.mixed, *plan.long, *plan.long_and_short]
    windows = sum(-(-seconds // 30) for seconds in lengths)
    assert 4 * plan.rounds * windows * 0.7 < 15 * 60
    assert plan.rounds == 5
    assert plan.jobs == (1, 8, 32, 128)
    assert len(plan.alike) >= 32
