"""Keep the leases of the jobs in flight, from a process of its own.

A thread cannot renew a lease while some library holds the interpreter lock, so a small child
process (`lease_process`) does it. It falls silent by itself when this process is stopped, stuck or
gone; then the leases lapse and another worker takes the jobs.
"""

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

from whisperfleet.errors import StartupError
from whisperfleet.queue import Claim, Lease
from whisperfleet.worker.control import JobControl, Stop
from whisperfleet.worker.lease_process import Greeting
from whisperfleet.worker.lease_table import LeaseTable

__all__ = ["LeaseKeeper"]

log = logging.getLogger(__name__)

# The child imports little; on a machine that is short of time even that takes seconds.
_START_SECONDS = 60.0
_RESTART_SECONDS = 1.0
_END_SECONDS = 5.0


class LeaseKeeper:
    """The worker's end. Safe to share between threads.

    At most `slots` jobs are held at once; `greet` makes the first line for a child that is given a
    table. Who has lost a lease, or was cancelled, learns it through its JobControl.
    """

    def __init__(self, slots: int, greet: Callable[[LeaseTable], Greeting]) -> None:
        self._table = LeaseTable.create(slots)
        self._greeting = greet(self._table).to_line()
        self._held: dict[Lease, JobControl] = {}
        self._ready = threading.Event()
        self._closing = threading.Event()
        self._child: subprocess.Popen[str] | None = None
        self._listener = threading.Thread(target=self._listen, name="leases", daemon=True)

    def __enter__(self) -> Self:
        self._start_child()
        self._listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        child = self._child
        if child is None:
            return
        if child.stdin:
            with suppress(BrokenPipeError):
                child.stdin.close()
        try:
            child.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        self._listener.join(_END_SECONDS)
        self._table.close()

    def wait_until_ready(self) -> None:
        """Return once leases are renewed. To be called before the first claim.

        Raises StartupError if that does not come to be: the worker's jobs would be taken from it.
        """
        if not self._ready.wait(_START_SECONDS):
            raise StartupError(
                f"the lease process did not start within {_START_SECONDS:.0f} s; see what it wrote "
                "above, and give the worker more processor time or memory"
            )

    def step(self) -> None:
        """Say that some job has come further."""
        self._table.step()

    def hold(self, claim: Claim, control: JobControl) -> None:
        """Renew a lease from now on. Call it before the job begins."""
        lease = _lease_of(claim)
        self._held[lease] = control
        self._table.hold(lease)

    def drop(self, claim: Claim) -> None:
        """Renew a lease no more."""
        lease = _lease_of(claim)
        self._table.drop(lease)
        self._held.pop(lease, None)

    def _start_child(self) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "whisperfleet.worker.lease_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            pass_fds=[self._table.descriptor],
            # Ctrl-C in a terminal is for the worker; this child lives until its input ends.
            process_group=0,
        )
        if self._child.stdin:
            # One that died at once is replaced by `_listen`.
            with suppress(BrokenPipeError):
                self._child.stdin.write(self._greeting + "\n")

    def _listen(self) -> None:
        """Read the child's verdicts; start another one when it is gone."""
        while True:
            child = self._child
            if child is None or child.stdout is None:
                return
            for line in child.stdout:
                self._obey(json.loads(line))
            child.stdout.close()
            status = child.wait()
            if self._closing.wait(_RESTART_SECONDS):
                return
            log.error("the lease process ended with status %d; starting another", status)
            self._start_child()

    def _obey(self, message: dict[str, Any]) -> None:
        if "ready" in message:
            self._ready.set()
            return
        if "log" in message:
            log.warning("%s", message["log"])
            return
        lease = Lease(**message["lease"])
        stop = Stop(message["stop"])
        control = self._held.get(lease)
        if control and not control.stopping:
            log.warning("the job must stop", extra={"job_id": lease.job_id, "reason": stop.value})
            control.stop(stop)


def _lease_of(claim: Claim) -> Lease:
    """Return the lease alone: as a key it must equal what the child names."""
    return Lease(claim.stream, claim.entry_id, claim.job_id, claim.epoch)
