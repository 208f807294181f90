"""Decode files in a few processes that may crash, hang or grow without harming the worker.

A malformed file can take its process down (PyAV-Org/PyAV#2344), so libav never runs in the worker.
The processes are kept, because starting one costs more than decoding a short clip.
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext, suppress
from os import fstat
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from whisperfleet.audio.decoder_child import (
    ChildEndedError,
    ChildStalledError,
    DecoderChild,
    Frame,
    describe_exit,
    read_channels,
    read_failure,
)
from whisperfleet.audio.decoder_failures import (
    ended,
    not_started,
    refused,
    stalled,
    unreadable,
)
from whisperfleet.audio.decoder_protocol import (
    BYTES_PER_SAMPLE,
    SAMPLE_RATE,
    AudioSelection,
    DecodeLimits,
    Kind,
    Problem,
)
from whisperfleet.audio.decoder_warnings import read_warning
from whisperfleet.contract.codes import Code
from whisperfleet.errors import InputError, JobError, StartupError, WhisperfleetError
from whisperfleet.settings import InputSettings

if TYPE_CHECKING:
    from whisperfleet.contract.warnings import ResultWarning

__all__ = [
    "SAMPLE_RATE",
    "AudioSelection",
    "DecodeLimits",
    "DecodedStream",
    "DecoderPool",
    "StreamClosedError",
]


class StreamClosedError(WhisperfleetError):
    """Samples were asked of a stream that was closed before its end."""


class DecodedStream:
    """The samples of one file: an iterator of int16 arrays of shape (samples,), mono at 16 kHz.

    Every block holds one second, the last one what remains; `samples` counts what was handed out.
    `channels` are those of the chosen track, 0 before the first block. `warnings` say what the
    samples lack or guess; they are complete when the iteration has ended.
    Use it in a `with` statement: leaving it early ends the process that decodes. One thread
    iterates, any may close.

    Iterating raises InputError (NOT_AUDIO, EMPTY, TOO_LONG, TOO_LARGE, TOO_MANY_CHANNELS,
    INVALID_JOB for a track that is not there, DECODER_TIMEOUT for processor time), TransientError
    (DECODER_CRASHED, DECODER_TIMEOUT for a stall), MachineError for a disk that does not give the
    file back, or StreamClosedError.
    """

    def __init__(
        self,
        child: DecoderChild,
        limits: DecodeLimits,
        give_back: Callable[["DecodedStream", DecoderChild, bool], None],
    ) -> None:
        self.samples = 0
        self.channels = 0
        self.warnings: list[ResultWarning] = []
        self._limits = limits
        self._give_back = give_back
        # None once it was given back; `_state` guards the handing over.
        self._child: DecoderChild | None = child
        self._cut = False
        self._state = threading.Lock()
        self._reading = threading.Lock()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> NDArray[np.int16]:
        with self._reading:
            child = self._child
            if child is None:
                raise StreamClosedError(_CLOSED) if self._cut else StopIteration
            error: JobError
            try:
                block = self._receive(child)
            except ChildStalledError:
                error = stalled(self._limits)
            except ChildEndedError:
                error = ended(child.exit_code(), self._limits)
            else:
                if block is None:
                    self._finish(reusable=True)
                    raise StopIteration
                return block
            self._finish(reusable=False)
            raise StreamClosedError(_CLOSED) if self._cut else error

    def _receive(self, child: DecoderChild) -> NDArray[np.int16] | None:
        """Return the next block, or None at the end of the file."""
        kind, payload = self._receive_noting(child)
        if kind == Kind.END:
            return None
        if kind == Kind.FAILURE:
            problem, detail = read_failure(payload)
            # Memory that once ran out may be in pieces.
            self._finish(reusable=problem is not Problem.OUT_OF_MEMORY)
            if problem is Problem.UNREADABLE:
                raise unreadable(detail)
            raise refused(problem, detail, self._limits)
        if kind != Kind.BLOCK or not payload or len(payload) % BYTES_PER_SAMPLE:
            raise ChildEndedError
        block = np.frombuffer(payload, np.int16)
        self.samples += len(block)
        if self.samples > self._limits.max_seconds * SAMPLE_RATE:
            # The process counts as well; this is for one that a file has taken over.
            self._finish(reusable=False)
            raise refused(Problem.TOO_LONG, "", self._limits)
        return block

    def _receive_noting(self, child: DecoderChild) -> Frame:
        """Return the next frame that is no remark; raises as `DecoderChild.receive`."""
        while True:
            kind, payload = child.receive(self._limits.stall_seconds)
            if kind == Kind.INFORMATION and not self.channels:
                self.channels = read_channels(payload)
            elif kind == Kind.WARNING:
                warning = read_warning(payload)
                # Each comes once; a process that repeats itself has been taken over by a file.
                if any(warning.code == known.code for known in self.warnings):
                    raise ChildEndedError
                self.warnings.append(warning)
            else:
                return kind, payload

    def _finish(self, *, reusable: bool) -> None:
        with self._state:
            child, self._child = self._child, None
            reusable = reusable and not self._cut
        if child is not None:
            self._give_back(self, child, reusable)

    def close(self) -> None:
        """End the stream, and its process if it has not come to the end of the file."""
        with self._state:
            if self._child is None:
                return
            self._cut = True
            # Wakes a thread that waits for samples, so that it lets go of the lock below.
            self._child.kill()
        with self._reading:
            self._finish(reusable=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class DecoderPool:
    """At most `size` decoder processes: as many files can be decoded at a time.

    A stream keeps its process until it ends, also while its reader waits for the engine, so `size`
    should be the number of jobs in flight. `warm` of them are started at once, the others when
    they are needed. A process serves until it crashes, is cut off, or has decoded
    `files_per_process` files; another is then started in the background. All of them end with
    `close`, and with this process however it ends.
    """

    def __init__(
        self,
        size: int,
        limits: DecodeLimits | None = None,
        *,
        warm: int = 2,
        files_per_process: int = 1_000,
    ) -> None:
        if size < 1 or files_per_process < 1:
            raise ValueError("a decoder pool needs at least one process and one file per process")
        self._size = size
        self._warm = min(size, warm)
        # How many there are, or will be once a replacement has started.
        self._processes = self._warm
        self._limits = limits or DecodeLimits(InputSettings().max_audio_seconds)
        self._files_per_process = files_per_process
        # One thread starts all of them and lives as long as the pool: the kernel ends a process
        # with the thread that started it, not with the program.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="decoder-starter")
        self._idle: queue.SimpleQueue[Future[DecoderChild] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._streams: set[DecodedStream] = set()
        self._closed = False
        for _ in range(self._warm):
            self._start_another()

    def decode(
        self,
        source: Path | BinaryIO,
        selection: AudioSelection = AudioSelection(),  # noqa: B008 - frozen
    ) -> DecodedStream:
        """Begin to decode a track of a file, or a channel of it, and return the samples.

        A file object must be flushed; its position does not matter, but is changed. Waits until one
        of the processes is free: a stream keeps its own until it ends or is closed. Raises
        InputError EMPTY for a file without bytes, MachineError where no process can be started,
        OSError where the file cannot be opened, RuntimeError when the pool is closed.
        """
        with source.open("rb") if isinstance(source, Path) else nullcontext(source) as file:
            if fstat(file.fileno()).st_size == 0:
                raise InputError(
                    Code.EMPTY, "the file has no bytes; upload the audio and send it again"
                )
            child = self._lease()
            stream = DecodedStream(child, self._limits, self._release)
            with self._lock:
                self._streams.add(stream)
            # If it is gone already, the first read will say how it ended.
            with suppress(ChildEndedError):
                child.begin(file.fileno(), selection)
            return stream

    def wait_until_ready(self) -> None:
        """Return once the warm processes can decode. To be called before the first job.

        Raises StartupError if one cannot: the worker should not claim jobs then.
        """
        waiting = [self._idle.get() for _ in range(self._warm)]
        try:
            for future in waiting:
                if future is not None:
                    future.result().wait_until_ready()
        except (ChildEndedError, ChildStalledError, OSError) as error:
            raise StartupError(
                f"an audio decoder could not be started ({type(error).__name__}); see what it "
                "wrote above, and check that the worker's extras are installed"
            ) from None
        finally:
            for future in waiting:
                self._idle.put(future)

    def close(self) -> None:
        """End all processes, and the streams that are still open. Harmless when called twice."""
        with self._lock:
            self._closed = True
            streams = list(self._streams)
        for stream in streams:
            stream.close()
        with suppress(queue.Empty):
            while True:
                future = self._idle.get_nowait()
                if future is not None and not future.cancel():
                    with suppress(OSError):
                        future.result().close()
        # Whoever waits in `decode` takes it and puts it back for the next.
        self._idle.put(None)
        self._starter.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _lease(self) -> DecoderChild:
        """Return a process that can decode.

        Those that wait may all have died of something else, or been started in vain when the
        machine lacked something, so each is tried, and a new one.
        """
        failures = 0
        while True:
            try:
                future = self._idle.get_nowait()
            except queue.Empty:
                self._grow()
                future = self._idle.get()
            if future is None:
                self._idle.put(None)
                raise RuntimeError("the decoder pool is closed")
            try:
                child = future.result()
            except OSError as error:
                self._start_another()
                failures += 1
                if failures > self._size:
                    raise not_started(error.strerror or str(error)) from error
                continue
            if child.jobs and not child.is_running:
                # It died of nothing we gave it, such as a machine short of memory.
                self._replace(child)
                continue
            try:
                child.wait_until_ready()
            except (ChildEndedError, ChildStalledError):
                reason = describe_exit(child.exit_code())
                self._replace(child)
                failures += 1
                if failures > self._size:
                    raise not_started(reason) from None
                continue
            return child

    def _release(self, stream: DecodedStream, child: DecoderChild, reusable: bool) -> None:
        with self._lock:
            self._streams.discard(stream)
            if reusable and not self._closed and child.jobs < self._files_per_process:
                future: Future[DecoderChild] = Future()
                future.set_result(child)
                self._idle.put(future)
                return
        self._replace(child)

    def _replace(self, child: DecoderChild) -> None:
        child.close()
        with self._lock:
            if not self._closed:
                self._start_another()

    def _grow(self) -> None:
        """Start one more process, if there may be more."""
        with self._lock:
            if self._processes < self._size and not self._closed:
                self._processes += 1
                self._start_another()

    def _start_another(self) -> None:
        self._idle.put(self._starter.submit(DecoderChild, self._limits))


_CLOSED = "the decoded stream was closed before its end"
