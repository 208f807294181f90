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
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import IO, Any, Self

from whisperfleet.backoff import Backoff
from whisperfleet.errors import StartupError
from whisperfleet.queue import Claim, Lease
from whisperfleet.worker.control import JobControl, Stop
from whisperfleet.worker.lease_process import Greeting
from whisperfleet.worker.lease_table import LeaseTable
from whisperfleet.worker.needs import Need
from whisperfleet.worker.standing import Standing

__all__ = ["LeaseKeeper", "spawn_lease_process"]

log = logging.getLogger(__name__)

# The child imports little; on a machine that is short of time even that takes seconds.
_START_SECONDS = 60.0
_RESTART = Backoff(first_seconds=1.0, most_seconds=10.0)
_END_SECONDS = 5.0
# What is quoted of a line that cannot be read.
_QUOTED_CHARACTERS = 200


def spawn_lease_process(descriptor: int) -> "subprocess.Popen[str]":
    """Start a lease process that is handed a descriptor; it waits for its greeting.

    Raises OSError where it cannot be started.
    """
    return subprocess.Popen(
        # Nothing is imported from the folder that the worker was started in.
        [sys.executable, "-P", "-m", "whisperfleet.worker.lease_process"],
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        bufsize=1,
        pass_fds=[descriptor],
        # Ctrl-C in a terminal is for the worker; this child lives until its input ends.
        process_group=0,
    )


class LeaseKeeper:
    """The worker's end. Safe to share between threads.

    At most `slots` jobs are held at once; `greet` makes the first line for a child that is given a
    table. Who has lost a lease, or was cancelled, learns it through its JobControl. `standing` is
    told with each renewal whether leases can be renewed and results published. `spawn` starts a
    child that is given the table's descriptor, and raises OSError where it cannot; `restart` is how
    long to wait before the next.
    """

    def __init__(
        self,
        slots: int,
        greet: Callable[[LeaseTable], Greeting],
        standing: Standing,
        *,
        spawn: Callable[[int], "subprocess.Popen[str]"] = spawn_lease_process,
        restart: Backoff = _RESTART,
    ) -> None:
        self._spawn = spawn
        self._restart = restart
        self._standing = standing
        self._table = LeaseTable.create(slots)
        self._greeting = greet(self._table).to_line()
        self._held: dict[Lease, JobControl] = {}
        self._ready = threading.Event()
        self._closing = threading.Event()
        # Starting a child and ending the keeper exclude each other.
        self._starting = threading.Lock()
        self._child: subprocess.Popen[str] | None = None
        self._listener = threading.Thread(target=self._listen, name="leases", daemon=True)

    def __enter__(self) -> Self:
        self._listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._starting:
            self._closing.set()
            child = self._child
        if child:
            _end(child)
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

    @property
    def seconds_since_renewal(self) -> float:
        """For how long leases have not been renewed: over a lease, others have taken the jobs."""
        return time.monotonic() - self._table.renewed_at

    def claiming(self) -> AbstractContextManager[None]:
        """Enter it for a claim, up to `hold`: what is on its way is not handed back as unknown."""
        return self._table.claiming()

    def step(self) -> None:
        """Say that some job has come further."""
        self._table.step()

    def hold(self, claim: Claim, control: JobControl) -> None:
        """Renew a lease from now on, until the job's time is up and it had time to notice.

        Call it before the job begins, and again where `control` gave it other time.
        """
        lease = _lease_of(claim)
        self._held[lease] = control
        self._table.hold(lease, control.ends)

    def drop(self, claim: Claim) -> None:
        """Renew a lease no more."""
        lease = _lease_of(claim)
        self._table.drop(lease)
        self._held.pop(lease, None)

    def _listen(self) -> None:
        """Start the child and read its verdicts; start another one when it is gone.

        Nothing else would notice the end of this thread, so it outlives whatever goes wrong.
        """
        failures = 0
        while not self._closing.is_set():
            self._ready.clear()
            try:
                what = f"ended with status {self._attend()}"
            except OSError as error:
                what = f"could not be started ({error})"
            failures = 1 if self._ready.is_set() else failures + 1
            if self._closing.wait(self._restart.seconds(failures)):
                return
            log.error("the lease process %s; starting another", what)

    def _attend(self) -> int:
        """Start a child, obey it until it ends, and return its exit status."""
        with self._starting:
            if self._closing.is_set():
                return 0
            child = self._child = self._start_child()
        try:
            for line in _pipe(child.stdout):
                self._read(line)
        finally:
            _end(child)
            _pipe(child.stdout).close()
        return child.returncode

    def _start_child(self) -> "subprocess.Popen[str]":
        child = self._spawn(self._table.descriptor)
        # One that died at once is replaced by `_listen`.
        with suppress(BrokenPipeError):
            _pipe(child.stdin).write(self._greeting + "\n")
        return child

    def _read(self, line: str) -> None:
        try:
            self._obey(json.loads(line))
        except (ValueError, TypeError, KeyError):
            log.warning(
                "the lease process wrote what is no message; it is passed over: %r",
                line[:_QUOTED_CHARACTERS],
            )

    def _obey(self, message: dict[str, Any]) -> None:
        """Do what a message asks. Raises ValueError, TypeError or KeyError for what is none."""
        if "ready" in message:
            self._ready.set()
            return
        if "standing" in message:
            for need, trouble in message["standing"].items():
                self._standing.note(Need(need), str(trouble))
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


def _end(child: "subprocess.Popen[str]") -> None:
    with suppress(BrokenPipeError):
        _pipe(child.stdin).close()
    try:
        child.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _pipe(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise ValueError("the child was started without pipes")
    return pipe


def _lease_of(claim: Claim) -> Lease:
    """Return the lease alone: as a key it must equal what the child names."""
    return Lease(claim.stream, claim.entry_id, claim.job_id, claim.epoch)
