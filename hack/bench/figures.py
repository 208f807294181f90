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
    "REAL_RIVALS",
    "RIVALS",
    "SEQUENTIAL",
    "TOKENS",
    "WHISPER_CPP",
    "Fairness",
    "GpuReport",
    "Memory",
    "Overhead",
    "Peak",
    "Race",
    "RealReport",
    "Report",
    "Rounds",
]

ONE_BY_ONE: Final = "library, one by one"
BATCHED: Final = "library, batched"
LOOPS: Final = "bare loops, one a core"
FLEET: Final = "Whisperfleet, end to end"
RIVALS: Final = (ONE_BY_ONE, BATCHED, LOOPS)
# With real weights: another engine, and the other segmenter.
WHISPER_CPP: Final = "whisper.cpp"
SEQUENTIAL: Final = "Whisperfleet, sequential"
REAL_RIVALS: Final = (ONE_BY_ONE, BATCHED, WHISPER_CPP)

# Tokens of every text: about what half a minute of English has (75 words).
TOKENS: Final = 112
BEAM: Final = 5


@dataclass(frozen=True, slots=True)
class Rounds:
    """What a contender took for its files, in seconds a round, and the windows it made of them.

    With real weights also, over all rounds, how many words were said and how many of them it had
    wrong; and, where that is known, the operations of a round (`hack/bench/operations.py`).
    """

    files: int
    audio_seconds: float
    windows: int
    seconds: tuple[float, ...]
    words: int = 0
    wrong: int = 0
    flop: float = 0.0

    @property
    def speed(self) -> float:
        """Seconds of audio in a second: the median of the rounds."""
        return self.audio_seconds / statistics.median(self.seconds)

    @property
    def error_rate(self) -> float:
        """Wrong words for a hundred words said; 0 where words mean nothing."""
        return 100 * self.wrong / self.words if self.words else 0.0

    @property
    def flop_per_second(self) -> float:
        """Operations a second, by the median of the rounds."""
        return self.flop / statistics.median(self.seconds)


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

    def ratios(self, rival: str, fleet: str = FLEET) -> list[float]:
        """Return how many times as fast as a rival a fleet was in each round, by audio."""
        ours, theirs = self.contenders[fleet], self.contenders[rival]
        scale = ours.audio_seconds / theirs.audio_seconds
        return [
            scale * slow / fast for slow, fast in zip(theirs.seconds, ours.seconds, strict=True)
        ]

    def ratio(self, rival: str, fleet: str = FLEET) -> float:
        """Return the median of the rounds' ratios."""
        return statistics.median(self.ratios(rival, fleet))


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
class Peak:
    """Operations a second of numpy's float32 matrix product, on one thread and on all cores."""

    one_thread: float
    all_threads: float

    @property
    def most(self) -> float:
        """The higher of both: threads of one core are no more than one."""
        return max(self.one_thread, self.all_threads)


@dataclass(frozen=True, slots=True)
class RealReport:
    """Real weights on real speech. `missing` says of a rival that did not run why.

    `threads` are the numbers with which each rival is fastest here.
    """

    model: str
    threads: dict[str, int]
    peak: Peak
    missing: dict[str, str]
    races: tuple[Race, ...] = ()


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
    real: RealReport | None = None
    failed: dict[str, str] = field(default_factory=dict)
