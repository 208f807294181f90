"""``python -m hack.bench.recognition``: the fleet against the library, on the same audio by turns.

A model of tiny's real shape with random weights, that says as many tokens of every window, makes
the figures those of real work on a machine without a GPU. On one with an NVIDIA GPU the shape of
large-v3-turbo comes first. The `real` stages have real weights and real speech, and say how many
words were wrong beside how fast they came. Figures are written down after each stage; one that
fails is named, the others go on, and the exit code is 1 at the end.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter
from rich.console import Console

from hack.bench.contenders import Setup
from hack.bench.contest import Contest, Ground, build_model
from hack.bench.cublas import require_cuda
from hack.bench.facts import facts_of_run
from hack.bench.figures import BEAM, FLEET, ONE_BY_ONE, TOKENS, GpuReport, Race, Report
from hack.bench.gpu import ATTAINABLE, DATA_SHEET, Gpu, find_gpu, seconds_per_window
from hack.bench.manners import measure_fairness, measure_overhead
from hack.bench.memory import measure_memory
from hack.bench.picture import picture
from hack.bench.races import race, race_counts, write_clips
from hack.bench.real_contest import real_stages
from hack.bench.real_races import REAL_FULL, REAL_TRIAL, real_races
from hack.bench.report import tables
from hack.real.models import MODELS, TINY
from whisperfleet.engine.ctranslate2.capacity import CPU_BATCH, MAX_BATCH
from whisperfleet.engine.options import DecodingOptions

__all__ = ["FULL", "TRIAL", "Plan", "main", "run_stages"]

Say = Callable[[str], None]
Stage = Callable[[Report], Report]

_STAGES: Final = (
    *("gpu", "alike", "mixed", "long", "long-and-short", "fallback", "sequential"),
    *("overhead", "fairness", "memory"),
)
_REAL_STAGES: Final = tuple(real_races(REAL_FULL))
_TRIES: Final = 3
_FILE_WIDTH: Final = 160
_LEFT_OUT: Final = "not run: left out by --only"


@dataclass(frozen=True, slots=True)
class Plan:
    """Seconds of the files of each race, how often all is repeated, and sizes of batches."""

    shape: str
    gpu_shape: str
    rounds: int
    alike: tuple[float, ...]
    counts: tuple[int, ...]
    mixed: tuple[float, ...]
    long: tuple[float, ...]
    long_and_short: tuple[float, ...]
    fallback: tuple[float, ...]
    sequential: tuple[float, ...]
    one_at_a_time: int
    beside: int
    batches: tuple[int, ...]
    gpu_batches: tuple[int, ...]


# 25 to 40 minutes on two cores.
FULL: Final = Plan(
    shape="tiny",
    gpu_shape="large-v3-turbo",
    rounds=5,
    alike=(30.0,) * 32,
    counts=(1, 8, 32, 128),
    mixed=(2.0, 30.0, 6.0, 18.0, 10.0, 25.0, 4.0, 14.0),
    long=(600.0,),
    long_and_short=(180.0, 3.0, 5.0, 8.0, 4.0, 6.0, 2.0),
    fallback=(30.0,) * 2,  # each costs a window at six temperatures
    sequential=(30.0,) * 8,
    one_at_a_time=15,
    beside=10,
    batches=(1, 8, 16),
    gpu_batches=(1, 8, 16, 32),
)
# Half a minute, to see that it works; its figures say nothing.
TRIAL: Final = Plan(
    shape="micro",
    gpu_shape="micro",
    rounds=1,
    alike=(30.0,) * 2,
    counts=(1, 4),
    mixed=(2.0, 6.0),
    long=(60.0,),
    long_and_short=(60.0, 3.0),
    fallback=(4.0,),
    sequential=(4.0,),
    one_at_a_time=1,
    beside=1,
    batches=(1, 2),
    gpu_batches=(1, 2),
)


def main() -> None:
    """Measure, print, and write the figures and their picture where they are asked for."""
    arguments = _parse()
    # As the worker does it; the library would lose by the threads of small products.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    console = Console()
    if not console.is_terminal:
        console.width = _FILE_WIDTH
    plan = TRIAL if arguments.trial else FULL

    def keep(report: Report) -> None:
        if arguments.json:
            figures = TypeAdapter(Report).dump_json(report, indent=2)
            arguments.json.write_bytes(figures + b"\n")

    with tempfile.TemporaryDirectory(prefix="whisperfleet-bench-") as folder:
        say = partial(console.print, style="dim", highlight=False, markup=False)
        bench = _Bench(plan, Path(folder), say)
        real = real_stages(arguments.weights, REAL_TRIAL if arguments.trial else REAL_FULL, say)
        every = bench.stages() | real
        stages = {name: stage for name, stage in every.items() if name in arguments.only}
        report = run_stages(stages, bench.begin(), keep, say)
    for table in tables(report):
        console.print(table.to_terminal())
    races = (*report.races, *(report.real.races if report.real else ()))
    if arguments.picture and races:
        arguments.picture.write_text(picture(races))
    if report.failed:
        sys.exit(f"failed: {', '.join(report.failed)}; the other figures stand")


def run_stages(
    stages: dict[str, Stage], report: Report, keep: Callable[[Report], None], say: Say
) -> Report:
    """Let each stage add its figures, and keep them; note one that fails, and go on."""
    began = time.monotonic()
    for name, stage in stages.items():
        try:
            report = stage(report)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other figures stand
            why = f"{type(error).__name__}: {error}"
            say(f"{name} failed: {why}")
            report = replace(report, failed={**report.failed, name: why})
            if name == "gpu":
                report = replace(report, gpu=f"failed: {why}")
        minutes = round((time.monotonic() - began) / 60, 1)
        load = round(os.getloadavg()[0], 2)
        report = replace(report, facts={**report.facts, "minutes": minutes, "load_after": load})
        keep(report)
    return report


class _Bench:
    """The stages of a plan, with what they share."""

    def __init__(self, plan: Plan, folder: Path, say: Say) -> None:
        self._plan = plan
        self._folder = folder
        self._say = say
        cores = len(os.sched_getaffinity(0))
        setup = Setup(build_model(plan.shape, "int8", folder), "cpu", "int8", cores)
        self._ground = Ground(setup, CPU_BATCH, folder, tries=min(plan.rounds, _TRIES))

    def begin(self) -> Report:
        """Return a report without figures."""
        facts = facts_of_run(
            {
                "shape": self._plan.shape,
                "compute_type": self._ground.setup.compute_type,
                "batch_size": self._ground.batch_size,
                "tokens_per_window": TOKENS,
                "beam": BEAM,
                "rounds": self._plan.rounds,
            }
        )
        return Report(facts, gpu=_LEFT_OUT)

    def stages(self) -> dict[str, Stage]:
        """Return the stages in order."""
        plan = self._plan
        stages = (
            *(self._gpu, self._alike),
            partial(self._race, "clips of 2 to 30 s", plan.mixed),
            partial(self._race, "one long file", plan.long),
            partial(self._race, "a long file and clips", plan.long_and_short),
            *(self._fallback, self._sequential, self._overhead, self._fairness, self._memory),
        )
        return dict(zip(_STAGES, stages, strict=True))

    def _alike(self, report: Report) -> Report:
        clips = write_clips("alike", self._plan.alike, self._folder)
        with self._ground.contest() as contest:
            found = race_counts(
                self._plan.counts, clips, contest.contenders, self._plan.rounds, self._say
            )
            return self._with_races(report, contest, *found)

    def _race(self, name: str, lengths: Sequence[float], report: Report) -> Report:
        clips = write_clips(name, lengths, self._folder)
        with self._ground.contest() as contest:
            found = race(name, clips, contest.contenders, self._plan.rounds, self._say)
            return self._with_races(report, contest, found)

    def _fallback(self, report: Report) -> Report:
        """Let those that have the rules use them: the pipeline and the loops have none.

        Texts of random weights repeat themselves, so that every window goes through all of them.
        """
        clips = write_clips("fallback", self._plan.fallback, self._folder)
        with self._ground.contest(temperatures=DecodingOptions().temperatures) as contest:
            own = [one for one in contest.contenders if one.name in {ONE_BY_ONE, FLEET}]
            name = "at all fallback temperatures"
            found = race(name, clips, own, self._plan.rounds, self._say)
            return self._with_races(report, contest, found)

    def _sequential(self, report: Report) -> Report:
        clips = write_clips("sequential", self._plan.sequential, self._folder)
        with self._ground.contest("--segmentation", "sequential") as contest:
            own = [one for one in contest.contenders if one.name in {ONE_BY_ONE, FLEET}]
            found = race("read sequentially", clips, own, self._plan.rounds, self._say)
            return self._with_races(report, contest, found)

    def _overhead(self, report: Report) -> Report:
        with self._ground.contest() as contest:
            jobs = self._plan.one_at_a_time
            found = measure_overhead(contest.fleet, contest.one_by_one, jobs, self._folder)
            return replace(self._with_races(report, contest), overhead=found)

    def _fairness(self, report: Report) -> Report:
        with self._ground.contest() as contest:
            found = measure_fairness(contest.fleet, self._plan.beside, self._folder)
            return replace(self._with_races(report, contest), fairness=found)

    def _memory(self, report: Report) -> Report:
        found = measure_memory(self._ground.setup.model, "cpu", self._plan.batches)
        return replace(report, memory=found)

    def _with_races(self, report: Report, contest: Contest, *races: Race) -> Report:
        return replace(
            report,
            facts={**report.facts, "threads": self._ground.threads},
            races=(*report.races, *races),
            startup_seconds=(*report.startup_seconds, contest.fleet.startup_seconds),
        )

    def _gpu(self, report: Report) -> Report:
        gpu = find_gpu()
        if isinstance(gpu, str):
            return replace(report, gpu=gpu)
        require_cuda()
        return replace(report, gpu=self._measure_gpu(gpu))

    def _measure_gpu(self, gpu: Gpu) -> GpuReport:
        plan = self._plan
        model = build_model(plan.gpu_shape, "float16", self._folder / "gpu")
        ground = Ground(Setup(model, "cuda", "float16", 0), MAX_BATCH, self._folder, tries=1)
        races, batch = self._gpu_races(ground)
        # The rivals' models have left the GPU by now.
        memory = measure_memory(model, "cuda", [size for size in plan.gpu_batches if size <= batch])
        limits = (
            seconds_per_window(gpu, shares, batch, BEAM, TOKENS)
            for shares in (DATA_SHEET, ATTAINABLE)
        )
        return GpuReport(gpu.name, batch, races, memory, *limits)

    def _gpu_races(self, ground: Ground) -> tuple[tuple[Race, ...], int]:
        """Return the races, and how many windows a batch had in the end."""
        plan = self._plan
        clips = write_clips("gpu", plan.alike, self._folder)
        with ground.contest() as contest:
            races = race_counts(plan.counts, clips, contest.contenders, plan.rounds, self._say)
            return races, int(contest.fleet.counted("whisperfleet_batch_limit"))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m hack.bench.recognition", description=__doc__)
    parser.add_argument("--trial", action="store_true", help="half a minute, to see that it works")
    parser.add_argument("--json", type=Path, help="file for the figures, written after each stage")
    parser.add_argument("--picture", type=Path, help="file for the picture (SVG)")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=("cpu", "real", *_STAGES, *_REAL_STAGES),
        default=(*_STAGES, *_REAL_STAGES),
        help="some stages alone; `cpu` is all but `gpu`, `real` those with real weights",
    )
    parser.add_argument("--weights", choices=MODELS, default=TINY, help="the real ones")
    arguments = parser.parse_args()
    if "cpu" in arguments.only:
        arguments.only = {*arguments.only, *_STAGES[1:], *_REAL_STAGES}
    if "real" in arguments.only:
        arguments.only = {*arguments.only, *_REAL_STAGES}
    return arguments


if __name__ == "__main__":
    main()
