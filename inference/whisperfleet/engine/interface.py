"""What an engine is: `Engine.run(windows) -> answers`, position by position.

A window is at most 30 s of one job's audio, as features. The engine knows nothing of jobs, files or
queues, so windows of different callers, languages and tasks may share a call. A call makes one
decoding pass over each window; one whose text does not suffice comes back unsettled, for `retry`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from whisperfleet.contract.job import Task
from whisperfleet.errors import JobError

__all__ = [
    "FRAMES_PER_SECOND",
    "FRAMES_PER_WINDOW",
    "SAMPLE_RATE",
    "WINDOW_SECONDS",
    "Answer",
    "Engine",
    "Unsettled",
    "Window",
    "WindowRequest",
    "WindowResult",
    "WindowSegment",
    "WindowWord",
    "word_place",
]

# Whisper's fixed input: 16 kHz mono, a mel frame each 10 ms, 30 s a window (arXiv:2212.04356, 2.2).
SAMPLE_RATE = 16_000
FRAMES_PER_SECOND = 100
WINDOW_SECONDS = 30
FRAMES_PER_WINDOW = FRAMES_PER_SECOND * WINDOW_SECONDS

# Nobody says a word in less.
_LEAST_WORD_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class WindowRequest:
    """What a job asks of each of its windows."""

    language: str | None = None
    task: Task = Task.TRANSCRIBE
    prompt: str | None = None
    word_timestamps: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """At most 30 s of audio, ready for the encoder.

    `features` is float32 of shape (mels, frames), frames <= 3000, not padded. `language` None asks
    the engine to detect it. `previous_tokens` is the text that precedes the window, oldest first.
    `last_speech_end` is where the last word before this window ended, in seconds relative to the
    window's start (so <= 0); word timestamps use it. `seams` are the seconds of the window at which
    audio was left out or nobody spoke for long, in order: no segment of the answer spans one, but
    for one whose words cannot be placed.
    """

    features: NDArray[np.float32]
    request: WindowRequest
    language: str | None = None
    previous_tokens: tuple[int, ...] = ()
    last_speech_end: float = 0.0
    seams: tuple[float, ...] = ()

    @property
    def frames(self) -> int:
        """The number of mel frames with content."""
        return int(self.features.shape[-1])

    @property
    def seconds(self) -> float:
        """The length of the window's content."""
        return self.frames / FRAMES_PER_SECOND


@dataclass(frozen=True, slots=True)
class WindowWord:
    """A word; seconds from the window's start."""

    start: float
    end: float
    text: str
    probability: float


@dataclass(frozen=True, slots=True)
class WindowSegment:
    """A run of words between two timestamp tokens; seconds from the window's start."""

    start: float
    end: float
    text: str
    tokens: tuple[int, ...]
    words: tuple[WindowWord, ...] | None = None


@dataclass(frozen=True, slots=True)
class WindowResult:
    """The words of one window.

    `consumed_frames` is how far a sequential reader may advance: up to the last closed segment, or
    the whole window. `segments` is empty where the window holds no speech: because it is `silent`
    by the rule for silence, or because no text is left.
    """

    segments: tuple[WindowSegment, ...]
    consumed_frames: int
    language: str
    language_probability: float
    temperature: float
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float
    silent: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Unsettled:
    """A window whose text does not suffice yet; `Engine.retry` makes the next pass over it.

    Those of one `temperature` share a pass. `found` is what the engine knows of the window so far,
    for itself alone: some megabytes for as long as this value is kept, and nothing beside it.
    """

    temperature: float
    found: Any


Answer: TypeAlias = WindowResult | JobError | Unsettled


def word_place(start: float, end: float) -> float:
    """Return the second of a window that tells on which side of a seam a word was said.

    It is the word's middle. A word that ends too shortly after the seam to be said there was said
    before: aligned words are some frames late, and the last of a sentence may have no length.
    """
    return min((start + end) / 2, end - _LEAST_WORD_SECONDS)


class Engine(Protocol):
    """A Whisper model that is loaded and warm."""

    @property
    def mels(self) -> int:
        """The number of mel bands that the model's encoder takes (80 or 128)."""

    @property
    def batch_size(self) -> int:
        """How many windows a call should bring; more are recognised some after the others."""

    @property
    def retry_size(self) -> int:
        """How many unsettled windows of one temperature a call should bring."""

    def run(self, windows: Sequence[Window]) -> list[Answer]:
        """Make the first pass over each window: the answer at position i belongs to window i.

        An error that concerns one window takes its place in the list; an exception means that the
        engine itself is gone, and with it whatever this process could do.
        """

    def retry(self, unsettled: Sequence[Unsettled]) -> list[Answer]:
        """Make the next pass over windows that are unsettled, answered as `run` answers them.

        Each has as many passes as there are temperatures, and is settled after the last.
        """
