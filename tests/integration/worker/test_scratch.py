"""A job's file has no name, takes all that is written or says why not, and stops with its job."""

import errno
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from whisperfleet.errors import MachineError
from whisperfleet.worker.control import Interrupted, JobControl, Stop
from whisperfleet.worker.scratch import scratch_file, scratch_folder


def control() -> JobControl:
    return JobControl(60.0, lambda: None)


def test_a_file_is_whole_and_has_no_name(tmp_path: Path) -> None:
    with scratch_file(tmp_path, control()) as file:
        file.write(b"RIFF")
        file.write(memoryview(b"WAVE"))
        assert list(tmp_path.iterdir()) == []
        file.seek(0)
        assert file.read() == b"RIFFWAVE"


def test_nothing_is_left_where_a_file_system_knows_only_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, refused = os.open, []

    def named_only(path: Path, flags: int, *more: int, **options: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            refused.append(path)
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        return opened(path, flags, *more, **options)

    monkeypatch.setattr(os, "open", named_only)
    with scratch_file(tmp_path, control()) as file:
        file.write(b"RIFF")
        assert list(tmp_path.iterdir()) == []
    assert refused


def test_each_write_is_a_check(tmp_path: Path) -> None:
    job = control()
    with scratch_file(tmp_path, job) as file:
        job.stop(Stop.CANCELLED)
        with pytest.raises(Interrupted):
            file.write(b"RIFF")


def test_what_a_disk_takes_only_in_part_is_not_taken_for_the_whole(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with scratch_file(tmp_path, control()) as file:
        # As where the disk is nearly full, the kernel takes what fits and reports no error.
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
        try:
            with pytest.raises(MachineError, match="File too large"):
                file.write(bytes(150))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert os.fstat(file.fileno()).st_size == 100


@pytest.mark.parametrize("missing", ["", "nowhere"])
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, missing: str) -> None:
    folder = tmp_path / missing if missing else Path("/proc/self")
    with pytest.raises(MachineError, match=str(folder)), scratch_file(folder, control()):
        pass


def test_the_systems_folder_is_taken_though_it_is_full() -> None:
    def full() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    assert scratch_folder(Path("/chosen")) == Path("/chosen")
    assert scratch_folder(None) == Path(tempfile.gettempdir())
    assert scratch_folder(None, full) == Path("/tmp")


HOLDER = """
import signal, sys
from pathlib import Path
from whisperfleet.worker.control import JobControl
from whisperfleet.worker.scratch import scratch_file
with scratch_file(Path(sys.argv[1]), JobControl(60.0, lambda: None)) as file:
    file.write(bytes(1000))
    print("written", flush=True)
    signal.pause()
"""


def test_a_worker_that_is_killed_leaves_no_file(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "written\n"
        holder.kill()
    assert list(tmp_path.iterdir()) == []
