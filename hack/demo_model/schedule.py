"""The training's stages: what is composed, for how long, and how fast the model learns.

Time, not steps, drives the schedule, so that a slow or a busy machine ends on time as well. Cheap
short windows teach the words; windows as the product decodes them come last.
"""

from dataclasses import dataclass
from typing import Final

from hack.demo_model.compose import Window

_WORDS: Final = Window(positions=200, batch=16, tokens=28, prompt_share=0.05)
_PHRASES: Final = Window(positions=500, batch=8, tokens=64)
_CHUNKS: Final = Window(positions=720, batch=8, tokens=96, padding_samples=100)
# Room for as much previous text as Whisper takes (223 tokens) before a full window's own.
_FULL: Final = Window(positions=1500, batch=4, tokens=336, prompt_share=0.4)


@dataclass(frozen=True)
class Stage:
    """A part of the training in which the windows' kinds and the losses' weights stay the same."""

    name: str
    minutes: float
    windows: tuple[Window, ...]
    """Kinds of windows, taken in turn: equally many steps of each."""
    learning_rates: tuple[float, float]
    """At the start and at the end; linear in time between."""
    frame_weight: float
    attention_weight: float


STAGES: Final[tuple[Stage, ...]] = (
    Stage("words", 6, (_WORDS,), (2.5e-3, 2.5e-3), 1.0, 0.5),
    Stage("phrases", 16, (_PHRASES, _CHUNKS), (2.5e-3, 2.15e-3), 1.0, 0.5),
    Stage("windows", 20, (_CHUNKS, _FULL), (2e-3, 1.45e-3), 0.5, 0.4),
    Stage("polish", 26, (_CHUNKS, _FULL), (1.2e-3, 1e-5), 0.4, 0.4),
)

# No training may outlast this, whatever the stages say.
LONGEST_MINUTES: Final = 90
