"""What an engine is: windows go in, and an answer to each comes out.

A window is at most 30 s of one job's audio, as samples, with the text around it. What an engine
makes of the samples, in which tokens it thinks and on which device it runs is its own business. It
knows nothing of jobs, files or queues, so windows of different callers, languages and tasks may
share a call. A call makes one pass over each window; one whose text does not suffice comes back
unsettled, for `retry`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from whisperfleet.contract.job import Task
from whisperfleet.contract.result import ModelInfo
from whisperfleet.errors import JobError

__all__ = [
    "EDGE_SAMPLES",
    "FRAMES_PER_SECOND",
    "FRAMES_PER_WINDOW",
    "SAMPLES_PER_FRAME",
    "SAMPLE_RATE",
    "WINDOW_SECONDS",
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
    "word_place",
]

# 16 kHz mono, told in frames of 10 ms, at most 30 s a window: as Whisper has it (arXiv:2212.04356,
# 2.2).
SAMPLE_RATE = 16_000
FRAMES_PER_SECOND = 100
SAMPLES_PER_FRAME = SAMPLE_RATE // FRAMES_PER_SECOND
WINDOW_SECONDS = 30
FRAMES_PER_WINDOW = FRAMES_PER_SECOND * WINDOW_SECONDS

# A window that is part of a longer audio comes with so much of what is around it: a frame's
# spectrum reaches over 25 ms.
EDGE_SAMPLES = SAMPLE_RATE // 80

# Nobody says a word in less.
_LEAST_WORD_SECONDS = 0.1


def _no_samples() -> NDArray[np.float32]:
    return np.empty(0, np.float32)


@dataclass(frozen=True, slots=True)
class WindowRequest:
    """What a job asks of each of its windows."""

    language: str | None = None
    task: Task = Task.TRANSCRIBE
    prompt: str | None = None
    word_timestamps: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """At most 30 s of audio, and what is known of the text around it.

    `samples` is float32 in [-1, 1) at 16 kHz. `language` None asks the engine to detect it.
    `previous` is the text that precedes the window, oldest first, in the pieces that the engine
    gave it in. `before` and `after` are the `EDGE_SAMPLES` around a window of a longer audio, fewer
    where that begins or ends, none where the window stands for itself. `carry` is that of the
    answer to the window before it in the same audio, where that is read in order.
    `last_speech_end` is where the last word before this window ended, in seconds relative to the
    window's start (so <= 0); word timestamps use it. `seams` are the seconds of the window at which
    audio was left out or nobody spoke for long, in order: no segment of the answer spans one, but
    for one whose words cannot be placed.
    """

    samples: NDArray[np.float32]
    request: WindowRequest
    language: str | None = None
    previous: tuple[str, ...] = ()
    last_speech_end: float = 0.0
    seams: tuple[float, ...] = ()
    before: NDArray[np.float32] = field(default_factory=_no_samples)
    after: NDArray[np.float32] = field(default_factory=_no_samples)
    carry: Any = None

    @property
    def frames(self) -> int:
        """The number of whole frames of 10 ms."""
        return len(self.samples) // SAMPLES_PER_FRAME

    @property
    def seconds(self) -> float:
        """The length of the window, in whole frames."""
        return self.frames / FRAMES_PER_SECOND


class Prepared(Protocol):
    """A window that its engine has prepared: all else of it is that engine's own business."""

    @property
    def seconds(self) -> float:
        """The length of the window, in whole frames."""


@dataclass(frozen=True, slots=True)
class WindowWord:
    """A word; seconds from the window's start."""

    start: float
    end: float
    text: str
    probability: float


@dataclass(frozen=True, slots=True)
class WindowSegment:
    """A run of words; seconds from the window's start.

    `pieces` is the text once more, as the engine wrote it, with whatever marks it has: what goes
    before another window is made of them, and means something to this engine alone.
    """

    start: float
    end: float
    text: str
    pieces: tuple[str, ...]
    words: tuple[WindowWord, ...] | None = None


@dataclass(frozen=True, slots=True)
class WindowResult:
    """The words of one window.

    `consumed_frames` is how far a sequential reader may advance: up to the last closed segment, or
    the whole window. `segments` is empty where the window holds no speech: because it is `silent`
    by the rule for silence, or because no text is left. `carry` is what the engine wants to know
    again with the next window of the same audio.
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
    carry: Any = None


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


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do with the model that it has: no window that comes asks for more.

    `languages` are the codes of those that it knows. `words`: it can tell the time of each word.
    `translate`: it can write in English what is said in another language.
    """

    languages: frozenset[str]
    words: bool
    translate: bool


@dataclass(frozen=True, slots=True)
class DeviceMemory:
    """The memory of a device in bytes, whoever uses it."""

    free: int
    total: int


P = TypeVar("P", bound=Prepared)


class BatchEngine(Protocol[P]):
    """What recognises windows, many in a call. All but `prepare` is for one thread at a time."""

    @property
    def batch_size(self) -> int:
        """How many windows a call should bring; more are recognised some after the others."""

    @property
    def retry_size(self) -> int:
        """How many unsettled windows of one temperature a call should bring."""

    def prepare(self, window: Window) -> P:
        """Do what a window needs before its turn, on the thread of its job.

        The answer holds no more memory than it must, and not the window's samples. For any thread,
        also while a call runs.
        """

    def run(self, windows: Sequence[P]) -> list[Answer]:
        """Make the first pass over each window: the answer at position i belongs to window i.

        An error that concerns one window takes its place in the list; an exception means that the
        engine itself is gone, and with it whatever this process could do.
        """

    def retry(self, unsettled: Sequence[Unsettled]) -> list[Answer]:
        """Make the next pass over windows that are unsettled, answered as `run` answers them.

        Each has as many passes as there are temperatures, and is settled after the last.
        """


class Engine(BatchEngine[P], Protocol[P]):
    """A model that is loaded."""

    @property
    def model(self) -> ModelInfo:
        """The model, as producers are told of it."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""

    @property
    def cache_key(self) -> str:
        """What its words depend on beside the windows: equal where the words would be."""

    def warm_up(self) -> None:
        """Run once, so that the first job does not pay for what is made only once.

        Raises StartupError where the device cannot run the model.
        """

    def device_memory(self) -> DeviceMemory | None:
        """Return the memory of the device it runs on; None where that is the host's own.

        For any thread. Raises OSError where it cannot be read.
        """

    def close(self) -> None:
        """Let go of the model and the device: no call is under way, and none follows."""
