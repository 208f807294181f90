"""An engine that hears how loud audio is, and says that in words."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from whisperfleet.contract.result import ModelInfo
from whisperfleet.engine import (
    Answer,
    Capabilities,
    DeviceMemory,
    Unsettled,
    Window,
    WindowResult,
    WindowSegment,
)
from whisperfleet.engine.options import DecodingOptions
from whisperfleet.settings import EngineSettings


@dataclass(frozen=True, slots=True)
class Loudness:
    """All that the toy wants to know of a window."""

    seconds: float
    frames: int
    loudest: float
    language: str


class ToyEngine:
    """Says `loud` or `quiet`, with the full stop as a piece of its own."""

    batch_size = 4
    retry_size = 1
    model = ModelInfo(name="toy", digest="0")
    capabilities = Capabilities(frozenset({"en"}), words=False, translate=False)
    cache_key = "toy 1"

    def __init__(self) -> None:
        self.is_closed = False

    def warm_up(self) -> None:
        self.run([Loudness(1.0, 100, 0.0, "en")])

    def prepare(self, window: Window) -> Loudness:
        loudest = float(np.abs(window.samples).max(initial=0.0))
        return Loudness(window.seconds, window.frames, loudest, window.language or "en")

    def run(self, windows: Sequence[Loudness]) -> list[Answer]:
        return [_answer(window) for window in windows]

    def retry(self, unsettled: Sequence[Unsettled]) -> list[Answer]:
        raise ValueError(f"{len(unsettled)} windows were not left unsettled by this engine")

    def device_memory(self) -> DeviceMemory | None:
        return None

    def close(self) -> None:
        self.is_closed = True


def load(_settings: EngineSettings, _decoding: DecodingOptions) -> ToyEngine:
    return ToyEngine()


def _answer(window: Loudness) -> WindowResult:
    word = " loud" if window.loudest > 0.1 else " quiet"
    said = WindowSegment(0.0, window.seconds, f"{word}.", (word, "."))
    segments = (said,) if window.frames else ()
    return WindowResult(segments, window.frames, window.language, 1.0, 0.0, -0.1, 0.0, 1.0)
