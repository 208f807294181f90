"""The parent's end of one decoder process: start it, give it files, read its frames, end it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress

from whisperfleet.audio.decoder_protocol import (
    HEADER,
    MAX_PAYLOAD_BYTES,
    AudioSelection,
    DecodeLimits,
    Kind,
    Problem,
)

__all__ = [
    "ChildEndedError",
    "ChildStalledError",
    "DecoderChild",
    "Frame",
    "describe_exit",
    "read_channels",
    "read_failure",
]

Frame = tuple[bytes, bytearray]

# Loading the libraries takes 0.3 s; a machine that is short of everything may take this long.
START_SECONDS = 60.0
_END_SECONDS = 5.0

# What a decoder needs of the environment. The rest, credentials among it, is not for a process that
# reads hostile files.
_INHERITED = ("LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "PYTHONHOME", "PYTHONPATH")


class ChildEndedError(Exception):
    """The process is gone, or speaks what is not the protocol."""


class ChildStalledError(Exception):
    """The process gave nothing in the time it had."""


class DecoderChild:
    """One decoder process. Used by one thread at a time, but for `kill`."""

    def __init__(self, limits: DecodeLimits) -> None:
        """Start the process and return at once; raises OSError where that is impossible.

        The kernel ends it with the thread that starts it (PR_SET_PDEATHSIG counts threads).
        """
        self.jobs = 0
        self._limits = limits
        self._ready = False
        self._socket, theirs = socket.socketpair()
        try:
            with theirs:
                self._process: subprocess.Popen[bytes] = subprocess.Popen(
                    [
                        *(sys.executable, "-P", "-m", "whisperfleet.audio.decoder_process"),
                        *(limits.to_json(), str(os.getpid())),
                    ],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    cwd="/",
                    env={
                        **{name: os.environ[name] for name in _INHERITED if name in os.environ},
                        # NumPy's threads would take address space for each of the processors.
                        "OPENBLAS_NUM_THREADS": "1",
                    },
                )
        except BaseException:
            self._socket.close()
            raise

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def wait_until_ready(self, seconds: float = START_SECONDS) -> None:
        """Return once the process has loaded its libraries; raises as `receive`."""
        if not self._ready:
            kind, _ = self.receive(seconds)
            if kind != Kind.READY:
                raise ChildEndedError
            self._ready = True

    def begin(self, descriptor: int, selection: AudioSelection) -> None:
        """Have it decode a part of the file behind an open descriptor, from its beginning."""
        self.jobs += 1
        order = selection.to_json().encode()
        try:
            socket.send_fds(
                self._socket, [HEADER.pack(Kind.DECODE, len(order)), order], [descriptor]
            )
        except OSError:
            raise ChildEndedError from None

    def receive(self, seconds: float) -> Frame:
        """Return the next frame.

        Raises ChildStalledError after so many seconds, ChildEndedError if none will come.
        """
        deadline = time.monotonic() + seconds
        kind, length = HEADER.unpack(self._receive_exactly(HEADER.size, deadline))
        if length > MAX_PAYLOAD_BYTES:
            raise ChildEndedError
        return kind, self._receive_exactly(length, deadline)

    def _receive_exactly(self, length: int, deadline: float) -> bytearray:
        buffer = bytearray(length)
        view = memoryview(buffer)
        try:
            while view:
                # Never 0, which would mean not to wait at all.
                self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
                received = self._socket.recv_into(view)
                if not received:
                    raise ChildEndedError
                view = view[received:]
        except TimeoutError:
            raise ChildStalledError from None
        except OSError:
            raise ChildEndedError from None
        return buffer

    def kill(self) -> None:
        """End the process now. Wakes a thread that waits in `receive`; may be called from any."""
        with suppress(ProcessLookupError):
            self._process.kill()

    def close(self) -> None:
        """End the process and free what it held. No thread may be in `receive`."""
        self.kill()
        self._socket.close()
        # It cannot outlast SIGKILL, but it may have to leave the kernel first (a dead disk).
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)

    def exit_code(self) -> int | None:
        """Return how a process ended whose socket has closed (negative: by a signal).

        None if it has not, so that its socket closed for no good reason.
        """
        try:
            return self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            return None


def read_failure(payload: bytearray) -> tuple[Problem, str]:
    """Return what an `F` frame says; raises ChildEndedError if it says nothing known."""
    try:
        failure = json.loads(payload)
        return Problem(failure["problem"]), str(failure["detail"])
    except (KeyError, TypeError, ValueError):
        raise ChildEndedError from None


def read_channels(payload: bytearray) -> int:
    """Return what an `I` frame says; raises ChildEndedError if it says nothing known."""
    try:
        channels = json.loads(payload)["channels"]
    except (KeyError, TypeError, ValueError):
        raise ChildEndedError from None
    if not isinstance(channels, int):
        raise ChildEndedError
    return channels


def describe_exit(code: int | None) -> str:
    """Return how a process ended, in a few words."""
    if code is None:
        return "words that are not of the protocol"
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
