"""The worker that is measured does not outlive who measures."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hack.bench.fleet import FleetError, running_fleet
from hack.process_tree import process_tree
from support.servers import wait_for
from whisperfleet.demo.server import EmbeddedServer

ROOT = Path(__file__).parents[4]
MODEL = ROOT / "inference" / "whisperfleet" / "demo" / "data" / "model"

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
    bench = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(MODEL)],
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


def test_a_worker_that_ends_is_noticed_and_its_log_told(tmp_path: Path):
    with (
        EmbeddedServer() as server,
        running_fleet(server, "bench.test", MODEL, 20, "--file-roots", str(tmp_path)) as fleet,
    ):
        fleet.worker.send_signal(signal.SIGKILL)
        fleet.worker.wait()
        with pytest.raises(FleetError, match=r"1 of 1 jobs have no result.*exit code is -9"):
            fleet.recognise([tmp_path / "any.ogg"])


def test_a_job_that_fails_is_an_error(tmp_path: Path):
    noise = tmp_path / "noise.ogg"
    noise.write_bytes(b"no audio at all")
    with (
        EmbeddedServer() as server,
        running_fleet(server, "bench.test", MODEL, 20, "--file-roots", str(tmp_path)) as fleet,
        pytest.raises(FleetError, match=r"the job of noise\.ogg is failed"),
    ):
        fleet.recognise([noise])


def test_a_worker_that_cannot_start_tells_why(tmp_path: Path):
    with (
        EmbeddedServer() as server,
        pytest.raises(FleetError, match="the worker did not say 'ready'"),
        running_fleet(server, "bench.test", tmp_path / "no-model", 20),
    ):
        pytest.fail("it cannot be ready")
