"""``python -m hack.bench.recognition``: the fleet against the library, on the same audio by turns.

A model of tiny's real shape with random weights, that says as many tokens of every window, makes
the figures those of real work on a machine without a GPU. On one with an NVIDIA GPU the shape of
large-v3-turbo follows.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rich.console import Console

from hack.bench.audio import write_clip
from hack.bench.contenders import (
    TOKENS,
    BareLoops,
    Contender,
    EndToEnd,
    Library,
    OneByOne,
    Pipeline,
    Setup,
)
from hack.bench.fleet import Fleet, running_fleet
from hack.bench.gpu import Gpu, find_gpu, least_seconds
from hack.bench.report import picture, table
from hack.bench.scenarios import (
    Fairness,
    Jobs,
    Overhead,
    Race,
    measure_fairness,
    measure_jobs,
    measure_memory,
    measure_overhead,
    race,
)
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.engine.capacity import CPU_BATCH, MAX_BATCH
from whisperfleet.engine.random_model import SHAPES, build_random_model
from whisperfleet.engine.vocabulary import Vocabulary

_MEMORY_SIZES: Final = (1, 8, 16)
_GPU_CLIPS: Final = 128


@dataclass(frozen=True, slots=True)
class Plan:
    """Seconds of the files of each race, and how often all is repeated."""

    rounds: int
    alike: tuple[float, ...]
    mixed: tuple[float, ...]
    long: tuple[float, ...]
    long_and_short: tuple[float, ...]
    jobs: tuple[int, ...]
    one_at_a_time: int
    beside: int


# A quarter of an hour on two cores (16 minutes when its figures were taken).
FULL: Final = Plan(
    rounds=5,
    alike=(30.0,) * 32,
    mixed=(2.0, 30.0, 6.0, 18.0, 10.0, 25.0, 4.0, 14.0),
    long=(120.0,),
    long_and_short=(120.0, 3.0, 5.0, 8.0, 4.0, 6.0, 2.0),
    jobs=(1, 8, 32, 128),
    one_at_a_time=15,
    beside=5,
)
# A minute, to see that it works; its figures say nothing.
TRIAL: Final = Plan(
    rounds=1,
    alike=(30.0,) * 4,
    mixed=(2.0, 30.0),
    long=(60.0,),
    long_and_short=(60.0, 3.0),
    jobs=(1, 4),
    one_at_a_time=3,
    beside=2,
)


@dataclass(frozen=True, slots=True)
class Report:
    """All figures of a run."""

    facts: dict[str, object]
    races: list[Race]
    jobs: list[Jobs]
    overhead: Overhead
    fairness: Fairness
    memory_bytes: dict[int, int]
    startup_seconds: float
    gpu: "GpuReport | str"

    @property
    def bytes_per_window(self) -> float:
        """Memory that one more window of a batch takes."""
        least, most = min(self.memory_bytes), max(self.memory_bytes)
        return (self.memory_bytes[most] - self.memory_bytes[least]) / (most - least)


@dataclass(frozen=True, slots=True)
class GpuReport:
    """The shape of large-v3-turbo on a GPU, and the share of what it could do at best."""

    gpu: Gpu
    race: Race
    share_of_limit: float


def main() -> None:
    """Measure, print, and write the figures and their picture where they are asked for."""
    arguments = _parse()
    # As the worker does it; the library would lose by the threads of small products.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    console = Console()
    plan = TRIAL if arguments.trial else FULL
    with tempfile.TemporaryDirectory(prefix="whisperfleet-bench-") as folder:
        report = _measure(plan, Path(folder), lambda line: console.print(line, style="dim"))
    console.print(table(report))
    if arguments.json:
        figures = json.dumps(asdict(report), indent=2)
        arguments.json.write_text(figures + "\n")
    if arguments.picture:
        arguments.picture.write_text(picture(report.races))


def _measure(plan: Plan, folder: Path, say: Callable[[str], None]) -> Report:
    cores = len(os.sched_getaffinity(0))
    facts: dict[str, object] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "cores": cores,
        "load_before": os.getloadavg()[0],
        "shape": "tiny",
        "tokens_per_window": TOKENS,
        "rounds": plan.rounds,
    }
    setup = Setup(_model("tiny", "int8", folder), "cpu", "int8", cores, CPU_BATCH)
    with _contest(setup, folder) as (contenders, fleet):
        facts["threads"] = {
            one.name: one.threads for one in contenders if isinstance(one, OneByOne | Pipeline)
        }
        say(f"ready after {fleet.startup_seconds:.1f} s; threads: {facts['threads']}")
        for contender in contenders:
            race("warm-up", (30.0,), [contender], 1, folder, say)
        races = [
            race(name, lengths, contenders, plan.rounds, folder, say)
            for name, lengths in (
                ("30 s clips", plan.alike),
                ("clips of 2 to 30 s", plan.mixed),
                ("one long file", plan.long),
                ("a long file and short clips", plan.long_and_short),
            )
        ]
        jobs = measure_jobs(plan.jobs, plan.rounds, contenders[-1], races[0], folder)
        overhead = measure_overhead(fleet, plan.one_at_a_time, folder)
        fairness = measure_fairness(fleet, plan.beside, folder)
        startup = fleet.startup_seconds
    memory = measure_memory(setup.model, TOKENS, _MEMORY_SIZES)
    gpu = find_gpu()
    gpu_report = gpu if isinstance(gpu, str) else _measure_gpu(gpu, plan, folder, say)
    facts["load_after"] = os.getloadavg()[0]
    return Report(facts, races, jobs, overhead, fairness, memory, startup, gpu_report)


def _measure_gpu(gpu: Gpu, plan: Plan, folder: Path, say: Callable[[str], None]) -> GpuReport:
    model = _model("large-v3-turbo", "float16", folder)
    setup = Setup(model, "cuda", "float16", 0, MAX_BATCH)
    with _contest(setup, folder) as (contenders, _):
        lengths = (30.0,) * _GPU_CLIPS
        result = race("30 s clips, GPU", lengths, contenders, plan.rounds, folder, say)
    per_window = statistics.median(result.seconds[EndToEnd.name]) / result.files
    return GpuReport(gpu, result, least_seconds(gpu, TOKENS, setup.batch_size) / per_window)


@contextmanager
def _contest(setup: Setup, folder: Path) -> Iterator[tuple[Sequence[Contender], Fleet]]:
    options = (
        *("--device", setup.device, "--compute-type", setup.compute_type),
        *("--cpu-threads", str(setup.cpu_threads), "--file-roots", str(folder)),
    )
    with (
        EmbeddedServer() as server,
        running_fleet(server, f"bench.{setup.device}", setup.model, TOKENS, *options) as fleet,
    ):
        library = _suited(OneByOne, setup, write_clip(folder / "suit-one.ogg", 30.0, seed=0))
        # It batches within a file.
        batched = _suited(Pipeline, setup, write_clip(folder / "suit-many.ogg", 90.0, seed=0))
        yield (library, batched, BareLoops(setup), EndToEnd(fleet)), fleet


def _suited(make: Callable[[Setup], Library], setup: Setup, file: Path) -> Library:
    """Return one of the library's ways with the number of threads with which it is fastest."""
    numbers = sorted({1, setup.cpu_threads}) if setup.device == "cpu" else [setup.cpu_threads]
    ways = [make(replace(setup, cpu_threads=number)) for number in numbers]
    return min(ways, key=lambda way: min(way.run([file]) for _ in range(3)))


def _model(shape: str, compute_type: str, folder: Path) -> Path:
    sizes = SHAPES[shape]
    vocabulary = Vocabulary(sizes.languages)
    unsaid = range(vocabulary.end_of_text, len(vocabulary.tokens))
    return build_random_model(sizes, folder / shape, compute_type, unsaid=unsaid)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m hack.bench.recognition", description=__doc__)
    parser.add_argument("--trial", action="store_true", help="a minute, to see that it works")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--picture", type=Path, help="file for the picture (SVG)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
