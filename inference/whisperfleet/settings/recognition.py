"""From audio to words."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from whisperfleet.settings.declare import SpecField, check, setting

__all__ = ["RecognitionSettings"]


@dataclass(frozen=True, slots=True)
class RecognitionSettings:
    """How audio becomes words. Raises ValueError for numbers that cannot be."""

    TITLE: ClassVar = "From audio to words"

    beam_size: int = field(
        default=5,
        metadata=setting(
            "Hypotheses that are followed at once; 1 is greedy and fastest.",
            most=16,
            spec=SpecField("decoding.beamSize", least=1, most=16, stored=True),
        ),
    )
    vad: bool = field(
        default=True,
        metadata=setting(
            "Whether audio without speech is skipped; Whisper invents words in silence.",
            off="--no-vad",
            spec=SpecField("decoding.vad", stored=True),
        ),
    )
    segmentation: Literal["parallel", "sequential"] = field(
        default="parallel",
        metadata=setting(
            "How long audio becomes windows of at most 30 s. Parallel cuts at pauses into windows "
            "of their own; sequential reads on where the last window's words ended, with them as "
            "its prompt: slower, and steadier in names and style.",
            spec=SpecField("decoding.segmentation", stored=True),
        ),
    )
    # Shorter ones would leave the voice activity detector no pause to choose.
    max_window_seconds: float = field(
        default=30.0,
        metadata=setting(
            "The longest window of parallel segmentation, from 5 to 30 s.", least=5, most=30
        ),
    )

    def __post_init__(self) -> None:
        check(self)
