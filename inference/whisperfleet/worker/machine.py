"""What a worker needs of its machine: room in the scratch folder, descriptors, memory, processes.

Where one lacks no job is at fault, and the next would fare no better. So the job goes back as if it
had not been begun, and nothing is claimed until a probe finds again what lacked.
"""

import errno
import os
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import gaierror
from typing import Final, Self

from whisperfleet.backoff import Backoff
from whisperfleet.errors import MachineError
from whisperfleet.worker.needs import Need
from whisperfleet.worker.standing import Standing

__all__ = ["Machine", "lack_behind", "on_this_machine", "start_a_process", "what_lacks"]

_DISK: Final = {
    errno.ENOSPC: "make room there",
    errno.EDQUOT: "raise the quota, or make room there",
    errno.EROFS: "mount it writable",
    errno.EACCES: "let the worker write there",
    errno.EPERM: "let the worker write there",
    errno.ENOENT: "make it anew",
    errno.EIO: "check the disk under it",
}
_ELSEWHERE: Final = {
    errno.EMFILE: "no file descriptor is left to the worker; raise its limit of open files "
    "(ulimit -n), or lower --max-in-flight",
    errno.ENFILE: "no file descriptor is left on the machine; raise fs.file-max, or see what opens "
    "so many",
    errno.ENOMEM: "no memory is left to the worker; give it more, or lower --max-in-flight",
    errno.ENOBUFS: "no memory is left for sockets; give the machine more",
}
_NO_THREAD: Final = (
    "no thread can be started; give the worker more processes (its cgroup's pids.max, ulimit -u)"
)
# Of the errors of a disk those that a file of a job's own choosing cannot bring about.
_NO_JOBS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, *_ELSEWHERE})

_PROBE_BYTES: Final = 1024 * 1024
# Kept open while all is well, so that health is served, and jobs go back, when no others are left.
_RESERVED_DESCRIPTORS: Final = 16
# What a job needs beside: a file, a connection, and the pipes to a decoder.
_SPARE_DESCRIPTORS: Final = 8
_PROBE_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 1.0
_PAUSES: Final = Backoff(first_seconds=1.0, most_seconds=30.0)
# Whoever was well for so long begins with the short pauses again.
_CALM_SECONDS: Final = 300.0


def what_lacks(error: OSError, scratch: Path) -> str:
    """Return what an error says of the machine, and what to do, in a sentence."""
    if error.errno in _ELSEWHERE:
        return f"{_ELSEWHERE[error.errno]} ({error.strerror})"
    remedy = _DISK.get(error.errno or 0, "see what is there")
    return (
        f"the scratch folder {scratch} cannot be written ({error.strerror or error}); {remedy}, or "
        "give the worker another with --scratch"
    )


def lack_behind(error: BaseException, scratch: Path) -> MachineError | None:
    """Return what the machine lacked where that is what brought an error about, else None."""
    causes = list(_behind(error))
    for cause in causes:
        if isinstance(cause, MemoryError):
            return MachineError(_ELSEWHERE[errno.ENOMEM])
        if isinstance(cause, RuntimeError) and "start new thread" in str(cause):
            return MachineError(_NO_THREAD)
        # Both have numbers of their own in `errno`, among them those of other things.
        foreign = isinstance(cause, (ssl.SSLError, gaierror))
        if isinstance(cause, OSError) and not foreign and cause.errno in _NO_JOBS:
            return MachineError(what_lacks(cause, scratch))
    return next((cause for cause in causes if isinstance(cause, MachineError)), None)


def _behind(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all that led to it, also what was left out of its traceback."""
    waiting, seen = [error], set()
    while waiting:
        cause = waiting.pop()
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        waiting += [each for each in (cause.__context__, cause.__cause__) if each]


@contextmanager
def on_this_machine(scratch: Path) -> Iterator[None]:
    """Raise MachineError in place of whatever the machine's lack brought about."""
    try:
        yield
    except MachineError:
        raise
    except Exception as error:
        if lack := lack_behind(error, scratch):
            raise lack from error
        raise


def start_a_process(program: str = sys.executable) -> None:
    """Raise MachineError where none can be started: a decoder could not be either."""
    try:
        subprocess.run(
            [program, "-I", "-S", "-c", ""],
            stdin=subprocess.DEVNULL,
            cwd="/",
            timeout=_PROBE_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise MachineError(
            f"no process can be started ({error}); give the worker more processes or memory"
        ) from error


class Machine:
    """Looks with each renewal whether the machine has what jobs need, and notes it.

    `blame` is for who has met a lack before that: it stays until a probe goes well, and for a pause
    that grows while that was no more than a moment's luck: `pause` gives its seconds after the nth
    lack. `start_process` raises MachineError where no process can be started. Safe to share between
    threads. Use it as a context.
    """

    def __init__(
        self,
        scratch: Path,
        standing: Standing,
        beat_seconds: float,
        *,
        pause: Callable[[int], float] = _PAUSES.seconds,
        start_process: Callable[[], None] = start_a_process,
    ) -> None:
        self._pause = pause
        self._start_process = start_process
        self._scratch = scratch
        self._standing = standing
        self._beat_seconds = beat_seconds
        self._reserve: list[int] = []
        self._lock = threading.Lock()
        self._blamed = threading.Event()
        self._closing = threading.Event()
        self._lacks = 0
        self._well_since = time.monotonic()
        self._well_again_at = 0.0
        self._watcher = threading.Thread(target=self._watch, name="machine", daemon=True)

    def __enter__(self) -> Self:
        self._look()
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._blamed.set()
        # It may hang in a folder that does not answer.
        self._watcher.join(self._beat_seconds)
        self._give_up_reserve()

    @property
    def lacks(self) -> bool:
        """Whether something lacked at the last look, or since."""
        return bool(self._standing.trouble(Need.MACHINE))

    def blame(self, error: BaseException) -> None:
        """Note what the machine lacks, where that is behind an error; else nothing."""
        if lack := lack_behind(error, self._scratch):
            self._note_lack(str(lack))
            self._blamed.set()

    def _note_lack(self, sentence: str) -> None:
        with self._lock:
            now = time.monotonic()
            if not self.lacks:
                if now - self._well_since > _CALM_SECONDS:
                    self._lacks = 0
                self._lacks += 1
                self._well_again_at = now + self._pause(self._lacks)
            self._standing.note(Need.MACHINE, sentence)
        self._give_up_reserve()

    def _watch(self) -> None:
        while True:
            if self.lacks:
                pause = min(self._beat_seconds, _LOOK_SECONDS)
                self._closing.wait(pause)
            else:
                self._blamed.wait(self._beat_seconds)
            self._blamed.clear()
            if self._closing.is_set():
                return
            self._look()

    def _look(self) -> None:
        """Probe, and note how it went."""
        was_well = not self.lacks
        try:
            self._probe()
            if not was_well:
                self._start_process()
        except MachineError as error:
            self._note_lack(str(error))
            return
        with self._lock:
            # A job may have met a lack while this looked elsewhere.
            if was_well and not self.lacks:
                self._standing.note(Need.MACHINE)
            elif not was_well and time.monotonic() >= self._well_again_at:
                self._well_since = time.monotonic()
                self._standing.note(Need.MACHINE)

    def _probe(self) -> None:
        """Raise MachineError where a descriptor lacks, or room."""
        try:
            self._fill_reserve()
            with tempfile.TemporaryFile(dir=self._scratch) as file:
                file.write(bytes(_PROBE_BYTES))
                file.flush()
        except OSError as error:
            raise MachineError(what_lacks(error, self._scratch)) from error

    def _fill_reserve(self) -> None:
        """Have the reserve open, and see that there are others beside it."""
        while len(self._reserve) < _RESERVED_DESCRIPTORS:
            self._reserve.append(_open_one())
        spare: list[int] = []
        try:
            while len(spare) < _SPARE_DESCRIPTORS:
                spare.append(_open_one())
        finally:
            for descriptor in spare:
                os.close(descriptor)

    def _give_up_reserve(self) -> None:
        while self._reserve:
            with suppress(IndexError):
                os.close(self._reserve.pop())


def _open_one() -> int:
    return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
