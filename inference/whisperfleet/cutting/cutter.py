"""The seam of the cutters: an iterator of windows that may want to see the answers."""

import sys
from dataclasses import dataclass
from typing import Protocol

from whisperfleet.cutting.clock import Clock
from whisperfleet.engine.seam import Window, WindowResult

__all__ = ["UNBOUNDED", "Cut", "Cutter"]

# A lookahead that leaves the bound to the caller.
UNBOUNDED = sys.maxsize


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """A window, and the clock that places its words in the file."""

    window: Window
    clock: Clock


class Cutter(Protocol):
    """One job's windows, in order of time. Use it from one thread at a time."""

    @property
    def lookahead(self) -> int:
        """How many windows may be unanswered when `next` is called returns; at least 1.

        It may grow with an answer: read it after each call of `next`.
        """

    @property
    def language(self) -> str | None:
        """The language of the job: asked for, or detected in its first window; else None."""

    @property
    def duration(self) -> float:
        """The seconds that were decoded so far; all of them once `next` has returned None."""

    @property
    def duration_after_vad(self) -> float:
        """The seconds of them that were taken for speech."""

    def next(self, previous: WindowResult | None) -> Cut | None:
        """Return the next window, or None after the last.

        `previous` is the answer to the oldest window whose answer was not given yet; it is needed
        while `lookahead` is 1, and None for the first window. Raises what reading blocks raises.
        """
