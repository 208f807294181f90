"""What is measured: the same files through every contender by turns, and the fleet's manners."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hack.bench.audio import write_clip, write_long_wav
from hack.bench.contenders import Contender, EndToEnd, OneByOne, library_prep_seconds
from hack.bench.fleet import Fleet
from whisperfleet.client import Client
from whisperfleet.contract.job import Job
from whisperfleet.contract.states import State

__all__ = [
    "Fairness",
    "Jobs",
    "Overhead",
    "Race",
    "measure_fairness",
    "measure_jobs",
    "measure_memory",
    "measure_overhead",
    "race",
]

_SHORT_SECONDS: Final = 3.0
_LONG_FILE_SECONDS: Final = 7200
_WAIT_SECONDS: Final = 120.0
_KIB: Final = 1024


@dataclass(frozen=True, slots=True)
class Race:
    """Seconds that each contender took for the same files, a number a round."""

    name: str
    files: int
    audio_seconds: float
    seconds: dict[str, list[float]]

    def ratio(self, to: str) -> float:
        """Return how many times as fast as a contender the fleet is: the median of the rounds'."""
        return statistics.median(
            theirs / ours
            for theirs, ours in zip(self.seconds[to], self.seconds[EndToEnd.name], strict=True)
        )


@dataclass(frozen=True, slots=True)
class Jobs:
    """So many jobs of half a minute at once: jobs a second, and against the library's rate."""

    jobs: int
    per_second: list[float]
    ratio: float


@dataclass(frozen=True, slots=True)
class Overhead:
    """Medians over jobs of 3 s that come one at a time, in milliseconds.

    `outside_ms` is from submission to result without the engine's own time. Of it, `prep_ms` went
    from the file to features, which takes the library `library_prep_ms`; the rest, `queue_ms`, is
    what a queue costs.
    """

    outside_ms: float
    queue_ms: float
    prep_ms: float
    library_prep_ms: float
    engine_ms: float


@dataclass(frozen=True, slots=True)
class Fairness:
    """Latencies of a clip of 3 s: alone, and beside a file of two hours; and a full batch."""

    alone_seconds: list[float]
    beside_seconds: list[float]
    batch_seconds: float

    @property
    def allowed_seconds(self) -> float:
        """Its time alone and one batch."""
        return max(self.alone_seconds) + self.batch_seconds


def race(
    name: str,
    lengths: Sequence[float],
    contenders: Sequence[Contender],
    rounds: int,
    folder: Path,
    say: Callable[[str], None],
) -> Race:
    """Let the contenders take turns with files of these lengths, in seconds."""
    files = [
        write_clip(folder / f"{name}-{number}.ogg".replace(" ", "-"), seconds, seed=number)
        for number, seconds in enumerate(lengths)
    ]
    seconds: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for number in range(rounds):
        for contender in contenders:
            seconds[contender.name].append(contender.run(files))
        times = ", ".join(f"{name} {own[-1]:.1f} s" for name, own in seconds.items())
        say(f"{name}, round {number + 1} of {rounds}: {times}")
    return Race(name, len(files), sum(lengths), seconds)


def measure_jobs(
    counts: Sequence[int], rounds: int, fleet: Contender, alike: Race, folder: Path
) -> list[Jobs]:
    """Measure the fleet with few and with many jobs at once, against the library's rate in a race.

    A number of jobs that raced is not measured again; the largest number is measured once.
    """
    library = alike.files / statistics.median(alike.seconds[OneByOne.name])
    files = [
        write_clip(folder / f"job-{number}.ogg", 30.0, seed=1000 + number)
        for number in range(max(counts))
    ]
    measured = []
    for count in counts:
        if count == alike.files:
            rates = [count / seconds for seconds in alike.seconds[EndToEnd.name]]
        else:
            repeated = rounds if count < max(counts) else 1
            rates = [count / fleet.run(files[:count]) for _ in range(repeated)]
        measured.append(Jobs(count, rates, statistics.median(rates) / library))
    return measured


def measure_overhead(fleet: Fleet, jobs: int, folder: Path) -> Overhead:
    """Send jobs one at a time and see where the time goes."""
    figures = []
    with Client(fleet.server.settings, fleet.queue_id) as client:
        for number in range(jobs + 2):
            file = write_clip(folder / f"one-{number}.ogg", _SHORT_SECONDS, seed=2000 + number)
            before = fleet.counted("whisperfleet_engine_seconds_total")
            began = time.perf_counter()
            ((_, result),) = client.wait(
                [client.submit(Job(url=file.as_uri(), language="en"))], _WAIT_SECONDS
            )
            latency = time.perf_counter() - began
            assert result.state is State.DONE, result.error
            busy = fleet.counted("whisperfleet_engine_seconds_total") - before
            prep = result.timing.total - result.timing.engine
            outside = latency - busy
            figures.append((outside, outside - prep, prep, library_prep_seconds(file), busy))
    # The first two warm everything up.
    return Overhead(*(1000 * statistics.median(own) for own in zip(*figures[2:], strict=True)))


def measure_fairness(fleet: Fleet, clips: int, folder: Path) -> Fairness:
    """Send short clips alone, then beside a file of two hours, which is cancelled at the end."""
    with Client(fleet.server.settings, fleet.queue_id) as client:

        def latency(number: int) -> float:
            file = write_clip(folder / f"short-{number}.ogg", _SHORT_SECONDS, seed=3000 + number)
            began = time.perf_counter()
            ((_, result),) = client.wait(
                [client.submit(Job(url=file.as_uri(), language="en"))], _WAIT_SECONDS
            )
            assert result.state is State.DONE, result.error
            return time.perf_counter() - began

        def batches(since: tuple[float, float], wanted: int) -> tuple[float, float]:
            """Wait for so many batches; return the count and the engine's seconds."""
            while True:
                now = (
                    fleet.counted("whisperfleet_batch_windows_count"),
                    fleet.counted("whisperfleet_engine_seconds_total"),
                )
                if now[0] >= since[0] + wanted:
                    return now
                time.sleep(0.05)

        alone = [latency(number) for number in range(clips)]
        path = write_long_wav(folder / "two-hours.wav", _LONG_FILE_SECONDS, seed=1)
        start = batches((0.0, 0.0), 0)
        long_file = client.submit(Job(url=path.as_uri(), language="en"))
        # The file's first batches may not be full yet.
        begun = batches(start, 2)
        full = batches(begun, 3)
        beside = []
        for number in range(clips):
            # Not in step with the batches.
            time.sleep((full[1] - begun[1]) / 3 * number / clips)
            beside.append(latency(clips + number))
        assert client.result(long_file) is None, "the long file should still be read"
        client.cancel(long_file)
    return Fairness(alone, beside, (full[1] - begun[1]) / (full[0] - begun[0]))


def measure_memory(model: Path, tokens: int, sizes: Sequence[int]) -> dict[int, int]:
    """Return the peak of resident bytes of a process that runs one batch of each size."""
    return {
        size: int(
            subprocess.run(
                [sys.executable, "-m", "hack.bench.scenarios", str(model), str(tokens), str(size)],
                cwd=Path(__file__).parents[2],
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        )
        for size in sizes
    }


def _run_one_batch(model: Path, tokens: int, size: int) -> int:
    import numpy as np  # noqa: PLC0415 - this process is the one that is measured

    from whisperfleet.engine import Window, WindowRequest, WindowResult  # noqa: PLC0415
    from whisperfleet.engine.host_memory import keep_host_memory  # noqa: PLC0415
    from whisperfleet.engine.models import resolve_model  # noqa: PLC0415
    from whisperfleet.engine.options import DecodingOptions  # noqa: PLC0415
    from whisperfleet.engine.whisper import WhisperEngine  # noqa: PLC0415

    keep_host_memory()
    options = DecodingOptions(temperatures=(0.0,), tokens_per_second=0.0, tokens_per_window=tokens)
    engine = WhisperEngine.load(resolve_model(str(model)), "cpu", options=options, batch_size=size)
    features = np.zeros((engine.mels, 3000), np.float32)
    for answer in engine.run([Window(features, WindowRequest("en"), "en")] * size):
        assert isinstance(answer, WindowResult), answer
    return _peak_bytes()


def _peak_bytes() -> int:
    """Return the most memory that this program has had resident.

    getrusage would count what the process was before it became this program: its parent's size.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * _KIB


if __name__ == "__main__":
    print(_run_one_batch(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
