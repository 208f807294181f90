"""Workers whose own machine has nothing left for a job. Rows 27 and 28.

What is thrown at one of two workers here made each of its jobs a dead letter within a minute, one
after the other, for it failed faster than the healthy one worked.
"""

import itertools
import resource
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hack.process_tree import process_tree
from support.faults.scene import Scene, clip
from support.servers import wait_for
from support.workers import Worker
from whisperfleet.contract.job import Job

SMALL_DISK = (str(Path(__file__).parents[2] / "support" / "programs" / "small_disk_worker.py"),)
JOBS, IN_FLIGHT = 30, 2
OPTIONS = (
    *("--max-in-flight", str(IN_FLIGHT)),
    # A probe comes after ten minutes: what lacks is found by a job.
    *("--lease-seconds", "1800", "--beat-seconds", "600"),
)


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """Return a folder where a small disk can be mounted."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    mount = ["unshare", "-m", "mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no small disk can be mounted here, which takes CAP_SYS_ADMIN: {error}")
    return folder


@contextmanager
def full_disk(worker: Worker, folder: Path) -> Iterator[None]:
    """Have the disk of a worker full to its last byte."""
    ballast = Path(f"/proc/{worker.process.pid}/root{folder}/ballast")

    def fill() -> None:
        with ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    with pytest.raises(OSError, match="No space left"):
        fill()
    yield
    ballast.unlink()


@contextmanager
def no_descriptors(worker: Worker) -> Iterator[None]:
    """Have a worker open nothing more."""
    pid = worker.process.pid
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    taken = {int(link.name) for link in Path(f"/proc/{pid}/fd").iterdir()}
    first_free = next(number for number in itertools.count() if number not in taken)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (first_free, limits[1]))
    yield
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)


def handed_back(worker: Worker) -> float:
    return worker.counted('whisperfleet_releases_total{reason="machine"}')


def assert_another_does_all(stage: Scene, sick: Worker, healthy: Worker) -> None:
    """Jobs that the sick worker has met, and more, end well and uncounted; it claims no others."""
    ids = [stage.client.submit(Job(audio=clip())) for _ in range(JOBS)]
    wait_for(lambda: handed_back(sick), "it has tried one")
    healthy.process.send_signal(signal.SIGCONT)
    stage.assert_done(ids)
    for job_id in ids:
        status = stage.status(job_id)
        assert (status.deliveries, status.retries) == (1, 0), status.history
    assert stage.total("dead") == 0
    assert sick.counted("whisperfleet_jobs_claimed_total") <= IN_FLIGHT


def assert_works_again(stage: Scene, worker: Worker) -> None:
    """Nobody has told it to, and nobody else is there."""
    wait_for(lambda: worker.get("/readyz")[0] == 200, "it is ready")
    stage.assert_done([stage.client.submit(Job(audio=clip()))])
    stage.assert_invariants(accepted=JOBS + 1)


def test_row_31_a_full_disk_on_one_of_two_workers(stage: Scene, scratch: Path) -> None:
    on_a_small_disk = stage.worker(*OPTIONS, "--scratch", str(scratch), program=SMALL_DISK)
    with on_a_small_disk as sick:
        with stage.standby(*OPTIONS) as healthy, full_disk(sick, scratch):
            assert_another_does_all(stage, sick, healthy)
            lack = (
                f"the scratch folder {scratch} cannot be written (No space left on device); "
                "make room there, or give the worker another with --scratch"
            )
            assert sick.get("/readyz") == (503, f"{lack}\n")
            assert sick.get("/livez")[0] == 200, "a restart makes no room"
            assert sick.said(f"{lack}; the worker claims no more")
        assert_works_again(stage, sick)


def test_row_32_no_descriptor_is_left_to_one_of_two_workers(stage: Scene) -> None:
    with stage.worker(*OPTIONS) as sick:
        with stage.standby(*OPTIONS) as healthy, no_descriptors(sick):
            assert_another_does_all(stage, sick, healthy)
            status, sentence = sick.get("/readyz")
            assert status == 503
            assert "no file descriptor is left to the worker; raise its limit" in sentence
            assert sick.get("/livez")[0] == 200
        assert_works_again(stage, sick)


def is_running(pid: int) -> bool:
    try:
        # One that has ended and waits for its parent has no command line any more.
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_worker_that_is_killed_leaves_no_file_and_no_process(
    stage: Scene, tmp_path: Path
) -> None:
    with stage.worker("--scratch", str(tmp_path), "--max-in-flight", "2") as worker:
        for job_id in ("call-1", "call-2"):
            stage.gated(job_id)
        stage.wait_until_begun(["call-1", "call-2"])
        family = process_tree(worker.process.pid)
        assert len(family) > 2
        worker.kill()
        assert list(tmp_path.iterdir()) == []
        wait_for(lambda: not any(map(is_running, family)), "all that it started is gone")
    stage.open_gate()
    with stage.worker():
        stage.assert_done(["call-1", "call-2"])
    stage.assert_invariants(accepted=2)
