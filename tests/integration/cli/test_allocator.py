"""A worker's process starts with the allocator as it needs it."""

import ctypes
import json
import subprocess
import sys
from pathlib import Path

import pytest

from whisperfleet.cli import allocator

glibc = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="not glibc")

VARIABLE = "GLIBC_TUNABLES"


def environment_of(process: "subprocess.Popen[str]") -> str:
    """Return the environment that a worker was started with, once it is ready."""
    assert any(json.loads(line)["message"] == "ready" for line in process.stderr)
    # Reading the tunables, glibc 2.36 ends each of them with a NUL in the process's own memory.
    return Path(f"/proc/{process.pid}/environ").read_bytes().decode().replace("\0", ":")


@glibc
@pytest.mark.parametrize(
    ("given", "started_with"),
    [
        ("", "glibc.malloc.tcache_count=0"),
        ("glibc.malloc.perturb=1", "glibc.malloc.perturb=1:glibc.malloc.tcache_count=0"),
        ("glibc.malloc.tcache_count=3", "glibc.malloc.tcache_count=3"),
    ],
    ids=["as it is", "with a setting of one's own", "with a cache of one's own"],
)
def test_a_worker_runs_without_the_threads_cache(start, given, started_with):
    process = start(
        "worker", "--model", "demo", "--http-port", "0", "--device", "cpu", **{VARIABLE: given}
    )
    assert f":{VARIABLE}={started_with}:" in f":{environment_of(process)}"


@glibc
def test_the_new_start_is_the_same_program(tmp_path):
    """Its arguments, its process and its way of starting stay."""
    note = tmp_path / "starts"
    program = (
        "import os, sys\n"
        f"with open({str(note)!r}, 'a') as note:\n"
        "    print(os.getpid(), *sys.argv, file=note)\n"
        "from whisperfleet.cli import main\n"
        "main()\n"
    )
    command = [sys.executable, "-P", "-c", program, "worker", "--model=demo", "--device=tpu"]
    done = subprocess.run(command, env={}, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    first, second = note.read_text().splitlines()
    assert first == second
    assert first.endswith(" -c worker --model=demo --device=tpu")


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda _: object())
    monkeypatch.setattr(allocator.os, "execve", lambda *_: pytest.fail("started anew"))
    allocator.start_without_thread_cache()
