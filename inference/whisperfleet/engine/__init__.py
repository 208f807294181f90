"""Windows in, words out: what stands between the queue's world and a speech model."""

from whisperfleet.engine.interface import (
    Answer,
    BatchEngine,
    Capabilities,
    DeviceMemory,
    Engine,
    Prepared,
    Unsettled,
    Window,
    WindowRequest,
    WindowResult,
    WindowSegment,
    WindowWord,
)

__all__ = [
    "Answer",
    "BatchEngine",
    "Capabilities",
    "DeviceMemory",
    "Engine",
    "Prepared",
    "Unsettled",
    "Window",
    "WindowRequest",
    "WindowResult",
    "WindowSegment",
    "WindowWord",
]
