"""What one contender heard in one file, whoever it is."""

from dataclasses import dataclass

__all__ = ["Cue", "Heard", "Word"]


@dataclass(frozen=True, slots=True)
class Word:
    """A word and its seconds."""

    start: float
    end: float
    text: str


@dataclass(frozen=True, slots=True)
class Cue:
    """A segment with its seconds; `words` where they were asked for."""

    start: float
    end: float
    text: str
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class Heard:
    """The segments of a file in order, and the language they were taken for."""

    language: str
    cues: tuple[Cue, ...]
