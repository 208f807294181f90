"""What a segmenter is: windows come out as they can be made, and answers go in."""

from dataclasses import dataclass
from typing import Protocol

from whisperfleet.engine.interface import Window, WindowResult
from whisperfleet.segmentation.timeline import Timeline

__all__ = ["Answered", "PlacedWindow", "Segmenter"]


@dataclass(frozen=True, slots=True, eq=False)
class PlacedWindow:
    """A window, and the timeline that places its words in the file."""

    window: Window
    timeline: Timeline


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """What counts of a window's answer: a segmenter may have kept back what it has read again."""

    timeline: Timeline
    result: WindowResult


class Segmenter(Protocol):
    """One job's windows. Use it from one thread at a time."""

    @property
    def language(self) -> str | None:
        """The language of the job: asked for, or detected in its first window; else None."""

    @property
    def duration(self) -> float:
        """The seconds that were decoded so far; all of them once there is no window left."""

    @property
    def duration_after_vad(self) -> float:
        """The seconds of them that were taken for speech."""

    @property
    def unrecognised(self) -> list[tuple[float, float]]:
        """From when to when, in order of time, the detector heard speech and the model no words."""

    def next(self) -> PlacedWindow | None:
        """Return a window, or None where none can be made now.

        None while every window that was returned is answered means that there are no more. Raises
        what reading blocks raises.
        """

    def answer(self, timeline: Timeline, result: WindowResult) -> Answered:
        """Take the answer to the window of a timeline, in any order; return what counts of it."""
