"""The fleet's manners: what it adds to the engine's time, and how long a short clip waits."""

import statistics
import time
from pathlib import Path
from typing import Final

from hack.bench.audio import write_clip, write_long_wav
from hack.bench.contenders import Contender, library_prep_seconds
from hack.bench.figures import Fairness, Overhead
from hack.bench.fleet import Fleet
from whisperfleet.contract.job import Job

__all__ = ["measure_fairness", "measure_overhead"]

_SHORT_SECONDS: Final = 3.0
_LONG_FILE_SECONDS: Final = 7200
_WARM_UP: Final = 2
_BATCHES: Final = 3
_LOOK_SECONDS: Final = 0.05
_BATCH_LIMIT_SECONDS: Final = 300.0


def measure_overhead(fleet: Fleet, library: Contender, jobs: int, folder: Path) -> Overhead:
    """Send jobs one at a time and see where the time goes, by turns with the library."""
    figures = []
    for number in range(jobs + _WARM_UP):
        file = write_clip(folder / f"one-{number}.ogg", _SHORT_SECONDS, seed=2000 + number)
        before = fleet.counted("whisperfleet_engine_seconds_total")
        job, (result,) = fleet.recognise([file])
        engine = fleet.counted("whisperfleet_engine_seconds_total") - before
        prep = result.timing.total - result.timing.engine
        theirs = library.run([file]).seconds
        outside = job - engine
        figures.append(
            (
                *(job, engine, outside, prep, outside - prep),
                *(theirs, library_prep_seconds(file), job - theirs),
            )
        )
    return Overhead(
        *(1000 * statistics.median(own) for own in zip(*figures[_WARM_UP:], strict=True))
    )


def measure_fairness(fleet: Fleet, clips: int, folder: Path) -> Fairness:
    """Send short clips alone, then beside a file of two hours, which is cancelled at the end."""

    def latency(number: int) -> float:
        file = write_clip(folder / f"short-{number}.ogg", _SHORT_SECONDS, seed=3000 + number)
        return fleet.recognise([file])[0]

    alone = [latency(number) for number in range(clips)]
    path = write_long_wav(folder / "two-hours.wav", _LONG_FILE_SECONDS, seed=1)
    start = _batches(fleet)
    long_file = fleet.client.submit(Job(url=path.as_uri(), language="en"))
    # The file's first batches may not be full yet.
    begun = _wait_for_batches(fleet, start[0] + 2)
    full = _wait_for_batches(fleet, begun[0] + _BATCHES)
    batch_seconds = (full[1] - begun[1]) / (full[0] - begun[0])
    beside = []
    for number in range(clips):
        # Not in step with the batches.
        time.sleep(batch_seconds * number / clips)
        beside.append(latency(clips + number))
    if fleet.client.result(long_file) is not None:
        raise RuntimeError("the file of two hours ended before the clips beside it")
    fleet.client.cancel(long_file)
    path.unlink()
    return Fairness(tuple(alone), tuple(beside), batch_seconds)


def _wait_for_batches(fleet: Fleet, wanted: float) -> tuple[float, float]:
    """Wait for so many batches; return the count and the engine's seconds."""
    ends = time.monotonic() + _BATCH_LIMIT_SECONDS
    while (now := _batches(fleet))[0] < wanted:
        if time.monotonic() > ends:
            raise TimeoutError(f"the worker made no {wanted:.0f} batches of the file of two hours")
        time.sleep(_LOOK_SECONDS)
    return now


def _batches(fleet: Fleet) -> tuple[float, float]:
    return (
        fleet.counted("whisperfleet_batch_windows_count"),
        fleet.counted("whisperfleet_engine_seconds_total"),
    )
