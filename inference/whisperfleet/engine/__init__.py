"""Windows in, words out: the seam between the queue's world and a Whisper model."""

from whisperfleet.engine.seam import (
    Answer,
    Engine,
    Unsettled,
    Window,
    WindowRequest,
    WindowResult,
    WindowSegment,
    WindowWord,
)

__all__ = [
    "Answer",
    "Engine",
    "Unsettled",
    "Window",
    "WindowRequest",
    "WindowResult",
    "WindowSegment",
    "WindowWord",
]
