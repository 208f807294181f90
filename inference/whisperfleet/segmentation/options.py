"""How audio is cut into windows, as one value."""

from dataclasses import dataclass
from enum import StrEnum

from whisperfleet.settings import RecognitionSettings

__all__ = ["Segmentation", "SegmentationOptions"]

_SET = RecognitionSettings()


class Segmentation(StrEnum):
    """Which segmenter makes the windows of a job."""

    PARALLEL = "parallel"
    SEQUENTIAL = "sequential"


_SEGMENTATION = Segmentation(_SET.segmentation)


@dataclass(frozen=True, slots=True)
class SegmentationOptions:
    """What every job of a worker is cut with.

    `vad` skips what is not speech: frames whose speech probability stays under `speech_threshold`
    for `min_silence_ms`, but for faint speech that lasts (ADR 10); `speech_pad_ms` is kept around
    speech. `max_window_seconds` bounds the windows of the parallel segmenter. Where a window is
    read on from another one, the text so far precedes it, unless it was sampled at more than
    `prompt_reset_on_temperature`. Defaults are faster-whisper's, but for the shorter silence.
    """

    mode: Segmentation = _SEGMENTATION
    vad: bool = _SET.vad
    speech_threshold: float = 0.5
    min_silence_ms: int = 500
    speech_pad_ms: int = 400
    max_window_seconds: float = _SET.max_window_seconds
    condition_on_previous_text: bool = True
    prompt_reset_on_temperature: float = 0.5

    def __post_init__(self) -> None:
        # Its bounds are declared there.
        RecognitionSettings(max_window_seconds=self.max_window_seconds)
        if not 0 < self.speech_threshold < 1:
            raise ValueError(
                f"a speech threshold of {self.speech_threshold:g} is no probability; choose one "
                "between 0 and 1"
            )
        if self.min_silence_ms < 0 or self.speech_pad_ms < 0:
            raise ValueError("the silence and the padding around speech cannot be negative")
