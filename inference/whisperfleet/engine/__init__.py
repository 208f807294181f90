"""Windows in, words out: what stands between the queue's world and a speech model."""

from whisperfleet.engine.interface import (
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
