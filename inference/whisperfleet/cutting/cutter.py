"""The seam of the cutters: windows come out as they can be made, and answers go in."""

from dataclasses import dataclass
from typing import Protocol

from whisperfleet.cutting.clock import Clock
from whisperfleet.engine.seam import Window, WindowResult

__all__ = ["Answered", "Cut", "Cutter"]


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """A window, and the clock that places its words in the file."""

    window: Window
    clock: Clock


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """What counts of a window's answer: a cutter may have kept back what it has read again."""

    clock: Clock
    result: WindowResult


class Cutter(Protocol):
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

    def next(self) -> Cut | None:
        """Return a window, or None where none can be made now.

        None while every window that was returned is answered means that there are no more. Raises
        what reading blocks raises.
        """

    def answer(self, cut: Cut, result: WindowResult) -> Answered:
        """Take the answer to a window of `next`, in any order; return what counts of it."""
