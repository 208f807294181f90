"""Where contenders with real weights meet: two fleets, one a segmenter, and their rivals."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Final

from hack.bench.figures import (
    BATCHED,
    FLEET,
    ONE_BY_ONE,
    SEQUENTIAL,
    WHISPER_CPP,
    Peak,
    RealReport,
    Report,
)
from hack.bench.fleet import running_worker
from hack.bench.operations import Operations, measure_peak
from hack.bench.real_contenders import EndToEnd, RealContender, batched, one_by_one
from hack.bench.real_races import Races, RealPlan, Say, aimed_clips, real_races
from hack.bench.whisper_cpp import PACKAGE, ggml_file, running_whisper_cpp
from hack.cache import cache_folder
from hack.real.errors import GroundError
from hack.real.models import model_folder
from hack.real.packages import CACHE, Wheel, unpacked
from whisperfleet.demo.server import EmbeddedServer

__all__ = ["RealGround", "real_stages"]

_SEGMENTERS: Final = {SEQUENTIAL: "sequential", FLEET: "parallel"}

_HOPELESS: Final = 2.0

Opened = AbstractContextManager[RealContender]


@dataclass(frozen=True)
class RealGround:
    """Weights by name, `tiny.en` or `base`, and clips to choose numbers of threads by.

    `missing` fills with why a rival does not run.
    """

    model: str
    clips: Callable[[], Sequence[Path]]
    tries: int
    package: Wheel = PACKAGE
    missing: dict[str, str] = field(default_factory=dict)

    @cached_property
    def rivals(self) -> dict[str, Callable[[int], Opened]]:
        """How each rival that can run here is opened with a number of threads."""
        folder = model_folder(self.model)
        found: dict[str, Callable[[int], Opened]] = {
            ONE_BY_ONE: lambda threads: nullcontext(one_by_one(folder, threads)),
            BATCHED: lambda threads: nullcontext(batched(folder, threads)),
        }
        try:
            opened = partial(
                running_whisper_cpp, ggml_file(self.model), package=unpacked(self.package)
            )
            with opened(1):
                found[WHISPER_CPP] = opened
        except GroundError as error:
            self.missing[WHISPER_CPP] = f"not run: {error}"
        return found

    @cached_property
    def threads(self) -> dict[str, int]:
        """The number of threads with which each rival is fastest here."""
        return {name: self._suited(opened) for name, opened in self.rivals.items()}

    @cached_property
    def peak(self) -> Peak:
        """What this machine's cores can compute."""
        return measure_peak()

    def begin(self) -> RealReport:
        """Return a report without races."""
        threads = self.threads
        return RealReport(self.model, threads, self.peak, dict(self.missing))

    @contextmanager
    def contest(self) -> Iterator[tuple[RealContender, ...]]:
        """Start both fleets with what the product has by default, and load the rivals; all warm."""
        model = model_folder(self.model)
        operations = Operations.of_model(model)
        with EmbeddedServer() as server, ExitStack() as opened:
            contenders = [
                opened.enter_context(rival(self.threads[name]))
                for name, rival in self.rivals.items()
            ]
            for name, segmenter in _SEGMENTERS.items():
                options = ("--device", "cpu", "--segmentation", segmenter)
                roots = ("--file-roots", str(cache_folder(CACHE)))
                fleet = opened.enter_context(
                    running_worker(server, f"bench.{segmenter}", model, *options, *roots)
                )
                contenders.append(EndToEnd(name, fleet, operations))
            for contender in contenders:
                contender.run(self.clips()[:1])
            yield tuple(contenders)

    def _suited(self, opened: Callable[[int], Opened]) -> int:
        numbers = sorted({1, len(os.sched_getaffinity(0))})
        if len(numbers) == 1:
            return numbers[0]
        took: dict[int, float] = {}
        for number in numbers:
            with opened(number) as contender:
                # Once to warm up. Beside other work, threads that wait for each other take many
                # times as long; a number so far behind needs no more tries.
                took[number] = contender.run(self.clips()).seconds
                if took[number] > _HOPELESS * min(took.values()):
                    continue
                tries = (contender.run(self.clips()).seconds for _ in range(self.tries))
                took[number] = min(took[number], *tries)
        return min(took, key=took.__getitem__)


def real_stages(
    model: str, plan: RealPlan, say: Say, package: Wheel = PACKAGE
) -> dict[str, Callable[[Report], Report]]:
    """Return the stages on real weights, by name, each of which adds its races to a report.

    A stage raises GroundError where weights or speech cannot be had; a rival that cannot be had is
    named in the report instead.
    """
    ground = RealGround(
        model, lambda: [one.path for one in aimed_clips(plan)[:2]], min(plan.rounds, 2), package
    )
    return {name: partial(_run, ground, races, say) for name, races in real_races(plan).items()}


def _run(ground: RealGround, races: Races, say: Say, report: Report) -> Report:
    with ground.contest() as contenders:
        found = races(contenders, say)
    real = report.real or ground.begin()
    return replace(report, real=replace(real, races=(*real.races, *found)))
