"""A process that decodes audio files, one after another, and may die of any of them.

Started by `decoder` as ``python -m whisperfleet.audio.decoder_process LIMITS PARENT_PID`` with a
socket as standard input; `decoder_protocol` says what is spoken there. It gets open files and never
a name or an address, knows only the containers and codecs that `decoder_media` lists, cannot open
anything else, and has hard limits on processor time, memory, files and output. Only PyAV, NumPy
(0.1 s of its start, 12 MB) and the standard library are imported, here and in what it imports.
"""

import ctypes
import gc
import io
import json
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Mapping

import av.error

from whisperfleet.audio.decoder_media import Refused
from whisperfleet.audio.decoder_notes import Notes
from whisperfleet.audio.decoder_protocol import (
    HEADER,
    AudioSelection,
    DecodeLimits,
    Kind,
    Problem,
)
from whisperfleet.audio.decoder_samples import blocks, samples

__all__ = ["main"]

OPEN_FILES = 16


def main(argv: list[str]) -> None:
    """Decode the files that come over standard input until it closes."""
    limits = DecodeLimits.from_json(argv[0])
    # How long this process lives is its parent's decision, also when a terminal signals the group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    die_with_parent(int(argv[1]))
    parent = socket.socket(fileno=0)
    set_limits(limits)
    # What is loaded stays; so the collection after each file looks at that file's objects only.
    gc.freeze()
    try:
        send(parent, Kind.READY)
        while order := receive_order(parent):
            file, selection = order
            with file:
                decode(file, selection, parent, limits)
            # The library's filter graphs hang in reference cycles (SYSTRAN/faster-whisper#390).
            gc.collect()
    except (BrokenPipeError, ConnectionResetError):
        return  # the parent has closed its end


def die_with_parent(parent_pid: int) -> None:
    """Have the kernel kill this process when its parent ends, even in the middle of a file."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() != parent_pid:
            sys.exit("the parent ended before this process began")


def set_limits(limits: DecodeLimits) -> None:
    """Give up what decoding does not need, for good."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))


def allow_processor_time(seconds: int) -> None:
    """Let this process use so much more processor time; SIGXCPU ends it after that."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = int(time.process_time()) + 1 + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def receive_order(parent: socket.socket) -> tuple[io.FileIO, AudioSelection] | None:
    """Return the next file, at its beginning, and what of it is wanted; None when there is none."""
    head, descriptors, _, _ = socket.recv_fds(parent, HEADER.size, 1)
    if not head or not descriptors:
        return None
    file = io.FileIO(descriptors[0], "r")
    head += receive_exactly(parent, HEADER.size - len(head))
    _, length = HEADER.unpack(head)
    selection = AudioSelection.from_json(receive_exactly(parent, length).decode())
    file.seek(0)
    return file, selection


def receive_exactly(parent: socket.socket, length: int) -> bytes:
    """Return so many bytes; raises ConnectionResetError if the parent ends before them."""
    received = b""
    while len(received) < length:
        more = parent.recv(length - len(received))
        if not more:
            raise ConnectionResetError
        received += more
    return received


def send(parent: socket.socket, kind: bytes, payload: bytes | memoryview = b"") -> None:
    """Send one frame."""
    parent.sendall(HEADER.pack(kind, len(payload)) + payload)


def decode(
    file: io.FileIO, selection: AudioSelection, parent: socket.socket, limits: DecodeLimits
) -> None:
    """Send the samples of a file and what they lack, then its end or what is wrong with it."""
    allow_processor_time(limits.cpu_seconds)
    notes = Notes()
    described = False
    try:
        for block in blocks(samples(file, selection, limits, notes), limits):
            if not described:
                send_json(parent, Kind.INFORMATION, {"channels": notes.channels})
                described = True
            send(parent, Kind.BLOCK, block)
        for finding, detail in notes.findings():
            send_json(parent, Kind.WARNING, {"finding": finding, "detail": detail})
        send(parent, Kind.END)
    except Refused as refused:
        send_failure(parent, refused)
    except (BrokenPipeError, ConnectionResetError, av.error.FFmpegError):
        raise
    except OSError as error:
        # What is left is the disk's: it does not give the file back.
        send_failure(parent, Refused(Problem.UNREADABLE, error.strerror))


def send_failure(parent: socket.socket, refused: Refused) -> None:
    """Send what is wrong with a file."""
    send_json(parent, Kind.FAILURE, {"problem": refused.problem, "detail": refused.detail})


def send_json(parent: socket.socket, kind: bytes, content: Mapping[str, object]) -> None:
    """Send one frame of JSON."""
    send(parent, kind, json.dumps(content).encode())


if __name__ == "__main__":
    main(sys.argv[1:])
