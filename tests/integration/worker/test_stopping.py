"""Signals that come at a bad moment."""

import subprocess
import sys

import pytest

# The kernel delivers at once what a process sends itself, and Python obeys before its next step.
_PROGRAM = """
import os, signal, sys
from whisperfleet.worker.stopping import stop_on_signals

stopped = stop_on_signals()
with stopped._cond:
    os.kill(os.getpid(), signal.Signals[sys.argv[1]])
    assert not stopped._flag
assert stopped.wait(10)
os.kill(os.getpid(), signal.Signals[sys.argv[1]])
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_that_comes_while_the_main_thread_holds_the_events_lock_is_obeyed(
    name: str,
) -> None:
    subprocess.run([sys.executable, "-c", _PROGRAM, name], check=True, timeout=30)
