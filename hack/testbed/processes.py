"""Background processes that outlive the one that started them, known by pid and start time.

A pid alone may have been given to another process since; with the start time it is unmistakable.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Self

from hack.testbed import files
from hack.testbed.errors import TestbedError
from hack.testbed.proxies import past_proxies

__all__ = ["Process", "launch", "stop", "wait_until"]

_LOOK_SECONDS: Final = 0.05
_KILL_SECONDS: Final = 10.0
# The shell enters the control group, so that every descendant is in it too, and is the process
# that reports the pid: nobody is left to wait for the child.
_LAUNCHER: Final = """
echo 0 > "$1" || exit 1
log=$2
shift 2
setsid "$@" >> "$log" 2>&1 < /dev/null &
echo $!
"""


@dataclass(frozen=True, slots=True)
class Process:
    """A process; `started` is in clock ticks since boot, `since` in seconds since the epoch.

    `recipe` stands for what it was started from; see `Component.recipe`.
    """

    pid: int
    started: int
    since: float
    recipe: str = ""

    @property
    def is_alive(self) -> bool:
        """Whether this very process runs; one that nobody has waited for does not."""
        return _start_of(self.pid) == self.started

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Return the process recorded there, or None where none is."""
        try:
            return cls(**json.loads(path.read_text()))
        except FileNotFoundError:
            return None

    def write(self, path: Path) -> None:
        """Record it for `read`."""
        files.write(path, json.dumps(asdict(self)))


def launch(
    command: Sequence[str],
    environment: Mapping[str, str],
    log: Path,
    cgroup_procs: Path,
    recipe: str = "",
) -> Process:
    """Start a command in a session and a control group of its own; output is appended to `log`.

    Raises TestbedError where it cannot be started or ends at once.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    launched = subprocess.run(
        ["sh", "-c", _LAUNCHER, "sh", str(cgroup_procs), str(log), *command],
        env={**past_proxies(os.environ), **environment},
        check=False,
        capture_output=True,
        text=True,
    )
    if launched.returncode != 0:
        raise TestbedError(
            f"{command[0]} was not started: its control group {cgroup_procs.parent} takes no "
            f"process ({launched.stderr.strip()}); take the testbed down and up again"
        )
    pid = int(launched.stdout)
    started = _start_of(pid)
    if started is None:
        raise TestbedError(f"{command[0]} ended at once; its log is {log}")
    return Process(pid, started, time.time(), recipe)


def stop(process: Process, grace_seconds: float) -> None:
    """End a process: ask, and after the grace kill. Raises TestbedError where it does not end."""
    if process.is_alive:
        os.kill(process.pid, signal.SIGTERM)
    if wait_until(lambda: not process.is_alive, grace_seconds):
        return
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)
    if not wait_until(lambda: not process.is_alive, _KILL_SECONDS):
        raise TestbedError(
            f"process {process.pid} is still there {_KILL_SECONDS:g} s after SIGKILL: "
            "it waits for the kernel; look at its stack in /proc"
        )


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Return as soon as the condition holds, or False after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_SECONDS)
    return True


def _start_of(pid: int) -> int | None:
    """Return when a process started; None for one that has ended, waited for or not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name, in parentheses, may hold anything: the fields are counted from behind it.
    state, *fields = stat.rpartition(")")[2].split()
    threads, started = int(fields[16]), int(fields[18])
    # The first thread may have ended while others still hold the process's sockets.
    return None if state in "ZX" and threads <= 1 else started
