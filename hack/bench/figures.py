"""The figures of a run: what is written down as JSON, and what follows from it."""

import statistics
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = [
    "BATCHED",
    "BEAM",
    "FLEET",
    "LOOPS",
    "ONE_BY_ONE",
    "RIVALS",
    "TOKENS",
    "Fairness",
    "GpuReport",
    "Memory",
    "Overhead",
    "Race",
    "Report",
    "Rounds",
]

ONE_BY_ONE: Final = "library, one by one"
BATCHED: Final = "library, batched"
LOOPS: Final = "bare loops, one a core"
FLEET: Final = "Whisperfleet, end to end"
RIVALS: Final = (ONE_BY_ONE, BATCHED, LOOPS)

# Tokens of every text: about what half a minute of English has (75 words).
TOKENS: Final = 112
BEAM: Final = 5


@dataclass(frozen=True, slots=True)
class Rounds:
    """What a contender took for its files, in seconds a round, and the windows it made of them."""

    files: int
    audio_seconds: float
    windows: int
    seconds: tuple[float, ...]

    @property
    def speed(self) -> float:
        """Seconds of audio in a second: the median of the rounds."""
        return self.audio_seconds / statistics.median(self.seconds)


@dataclass(frozen=True, slots=True)
class Race:
    """Contenders that took turns with the same audio, by name; the fleet is `FLEET`.

    `compared` counts, over all rounds, the files of which the fleet and the library one by one
    made one window each; `alike` those of them whose texts were the same.
    """

    name: str
    contenders: dict[str, Rounds]
    compared: int
    alike: int

    def ratios(self, rival: str) -> list[float]:
        """Return how many times as fast as a rival the fleet was in each round, by audio."""
        ours, theirs = self.contenders[FLEET], self.contenders[rival]
        scale = ours.audio_seconds / theirs.audio_seconds
        return [
            scale * slow / fast for slow, fast in zip(theirs.seconds, ours.seconds, strict=True)
        ]

    def ratio(self, rival: str) -> float:
        """Return the median of the rounds' ratios."""
        return statistics.median(self.ratios(rival))


@dataclass(frozen=True, slots=True)
class Overhead:
    """Medians over clips of 3 s that come one at a time, in milliseconds.

    `job_ms` is from submission to result, `engine_ms` the engine's part of it and `outside_ms` all
    beside it. Of that, `prep_ms` went from the file to features, which takes the library
    `rival_prep_ms`; `queue_ms` remains: what a queue costs. `over_rival_ms` is how much longer
    a job took than the library's own call with the same clip, `rival_ms`; negative: less long.
    """

    job_ms: float
    engine_ms: float
    outside_ms: float
    prep_ms: float
    queue_ms: float
    rival_ms: float
    rival_prep_ms: float
    over_rival_ms: float


@dataclass(frozen=True, slots=True)
class Fairness:
    """Latencies of clips of 3 s: alone, and beside a file of two hours; and of a full batch."""

    alone_seconds: tuple[float, ...]
    beside_seconds: tuple[float, ...]
    batch_seconds: float

    @property
    def allowed_seconds(self) -> float:
        """A clip's time alone and one batch."""
        return max(self.alone_seconds) + self.batch_seconds


@dataclass(frozen=True, slots=True)
class Memory:
    """The most bytes that a process with one batch of so many windows took, by that number."""

    peak_bytes: dict[int, int]

    @property
    def bytes_per_window(self) -> float:
        """What one more window of a batch takes."""
        least, most = min(self.peak_bytes), max(self.peak_bytes)
        return (self.peak_bytes[most] - self.peak_bytes[least]) / (most - least)


@dataclass(frozen=True, slots=True)
class GpuReport:
    """The shape of large-v3-turbo on a GPU; memory is the GPU's.

    Two limits, in seconds a window with `batch_size` windows together: what the data sheet leaves
    possible, and what can be reached of it (`hack/bench/gpu.py`). Both are None for a GPU whose
    data sheet is not known here.
    """

    name: str
    batch_size: int
    races: tuple[Race, ...]
    memory: Memory
    data_sheet_seconds: float | None
    attainable_seconds: float | None

    @property
    def seconds_per_window(self) -> float:
        """What a window took with the most jobs at once: the median of the rounds."""
        ours = self.races[-1].contenders[FLEET]
        return statistics.median(ours.seconds) / ours.windows


@dataclass(frozen=True, slots=True)
class Report:
    """All figures of a run so far. `failed` says of each stage that failed why."""

    facts: dict[str, Any]
    gpu: GpuReport | str
    races: tuple[Race, ...] = ()
    overhead: Overhead | None = None
    fairness: Fairness | None = None
    memory: Memory | None = None
    startup_seconds: tuple[float, ...] = ()
    failed: dict[str, str] = field(default_factory=dict)
