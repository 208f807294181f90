"""The windows of all jobs in flight, in one line before the one engine.

Job threads put windows in and wait for futures; one thread takes them out and runs the engine. The
line is bounded by the seconds of audio that it holds, so memory does not follow the number of jobs.
"""

import threading
import time
from collections import deque
from concurrent.futures import CancelledError, Future
from typing import Self

from whisperfleet.contract.codes import Code
from whisperfleet.engine import Engine, Window, WindowResult
from whisperfleet.errors import JobError, TransientError
from whisperfleet.worker import metrics

__all__ = ["EngineQueue"]

_JOIN_SECONDS = 5.0


class EngineQueue:
    """A bounded line of windows and the thread that runs the engine on them.

    `max_audio_seconds` bounds the audio that waits or is being recognised. `run_started` is the
    monotonic time at which the engine's current call began, None while it is idle: a call that
    never returns shows there.
    """

    def __init__(self, engine: Engine, max_audio_seconds: float) -> None:
        self.run_started: float | None = None
        self._engine = engine
        self._max_audio_seconds = max_audio_seconds
        self._audio_seconds = 0.0
        self._line: deque[tuple[Window, Future[WindowResult]]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="engine", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._closed = True
            abandoned = [future for _, future in self._line]
            self._line.clear()
            self._changed.notify_all()
        for future in abandoned:
            future.cancel()
        # A call that never returns must not keep the process from ending.
        self._thread.join(_JOIN_SECONDS)

    @property
    def mels(self) -> int:
        """The number of mel bands that windows must have."""
        return self._engine.mels

    def submit(self, window: Window) -> Future[WindowResult]:
        """Put a window in line and return the promise of its words.

        Blocks while the line holds its fill of audio; one window always fits. The future raises the
        JobError of this window alone, or TransientError when the engine itself failed.
        """
        future: Future[WindowResult] = Future()
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._fits(window))
            if self._closed:
                raise CancelledError("the engine queue is closed")
            self._audio_seconds += window.seconds
            self._line.append((window, future))
            metrics.windows_waiting.set(len(self._line))
            self._changed.notify_all()
        return future

    def _fits(self, window: Window) -> bool:
        return (
            self._audio_seconds == 0
            or self._audio_seconds + window.seconds <= self._max_audio_seconds
        )

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or bool(self._line))
                if self._closed:
                    return
                window, future = self._line.popleft()
                metrics.windows_waiting.set(len(self._line))
            if future.set_running_or_notify_cancel():
                self._run(window, future)
            with self._changed:
                self._audio_seconds = max(0.0, self._audio_seconds - window.seconds)
                self._changed.notify_all()

    def _run(self, window: Window, future: Future[WindowResult]) -> None:
        started = self.run_started = time.monotonic()
        try:
            (answer,) = self._engine.run([window])
        except Exception as error:  # noqa: BLE001 - whatever it is, the job must learn of it
            answer = TransientError(Code.ENGINE_FAILED, f"the engine failed: {error}")
            answer.__cause__ = error
        finally:
            self.run_started = None
            metrics.engine_seconds.inc(time.monotonic() - started)
        metrics.windows.inc()
        metrics.audio_seconds.inc(window.seconds)
        if isinstance(answer, JobError):
            future.set_exception(answer)
        else:
            future.set_result(answer)
