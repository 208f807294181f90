"""Windows in, words out: the seam between the queue's world and a Whisper model."""

from whisperfleet.engine.seam import (
    Engine,
    Window,
    WindowRequest,
    WindowResult,
    WindowSegment,
    WindowWord,
)

__all__ = ["Engine", "Window", "WindowRequest", "WindowResult", "WindowSegment", "WindowWord"]
