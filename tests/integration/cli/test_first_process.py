"""A container that is told to end while it starts."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.servers import wait_for

# Every interpreter imports this first: the import of the commands takes for ever.
ENDLESS_IMPORT = """
import sys, time

class Endless:
    def find_spec(self, name, path=None, target=None):
        if name == "whisperfleet.cli.app":
            open({begun!r}, "w").close()
            while True:
                time.sleep(0.01)

sys.meta_path.insert(0, Endless())
"""

# The moment in which exec has taken the handler away and the new program has none yet.
LONG_EXEC = """
import os, signal, time
from pathlib import Path

start_anew = os.execve

def execve(*arguments):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    open({begun!r}, "w").close()
    while not Path({ended!r}).exists():
        time.sleep(0.01)
    start_anew(*arguments)

os.execve = execve
"""
WORKER = ("worker", "--redis", "redis://127.0.0.1:1/0", "--queue", "q", "--model", "demo")

in_a_namespace = pytest.mark.skipif(
    os.geteuid() != 0, reason="a PID namespace of one's own needs root"
)


@in_a_namespace
def test_process_1_ends_on_sigterm_while_it_starts(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    (tmp_path / "sitecustomize.py").write_text(ENDLESS_IMPORT.format(begun=str(begun)))
    with started_first(tmp_path) as unshare:
        wait_for(begun.exists, "the program imports its commands")
        os.kill(first_of(unshare), signal.SIGTERM)
        assert unshare.wait(30) == 128 + signal.SIGTERM


@in_a_namespace
def test_a_sigterm_while_process_1_starts_anew_is_not_lost(tmp_path: Path) -> None:
    begun, ended = tmp_path / "begun", tmp_path / "ended"
    (tmp_path / "sitecustomize.py").write_text(LONG_EXEC.format(begun=str(begun), ended=str(ended)))
    with started_first(tmp_path, *WORKER) as unshare:
        wait_for(begun.exists, "the worker starts anew")
        os.kill(first_of(unshare), signal.SIGTERM)
        ended.touch()
        assert unshare.wait(30) == 128 + signal.SIGTERM


@contextmanager
def started_first(folder: Path, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """`whisperfleet` as process 1 of a namespace, with the sitecustomize.py of a folder."""
    unshare = subprocess.Popen(
        [
            *("unshare", "--pid", "--fork", "--kill-child"),
            *(sys.executable, "-m", "whisperfleet", *arguments),
        ],
        env={**os.environ, "PYTHONPATH": str(folder)},
    )
    try:
        yield unshare
    finally:
        unshare.kill()
        unshare.wait()


def first_of(unshare: "subprocess.Popen[bytes]") -> int:
    """Return the namespace's process 1, by this machine's number."""
    (first,) = Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children").read_text().split()
    return int(first)
