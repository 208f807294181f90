"""Where contenders meet: a model, a fleet of its own, and the library at its best."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from hack.bench.audio import write_clip
from hack.bench.contenders import BareLoops, Contender, EndToEnd, Library, OneByOne, Pipeline, Setup
from hack.bench.figures import TOKENS
from hack.bench.fleet import Fleet, running_fleet
from hack.random_model.build import SHAPES, build_random_model
from hack.random_model.vocabulary import Vocabulary
from whisperfleet.demo.server import EmbeddedServer

__all__ = ["Contest", "Ground", "build_model"]


def build_model(shape: str, compute_type: str, folder: Path) -> Path:
    """Build a model of a real shape with random weights, whose texts do not end by themselves."""
    sizes = SHAPES[shape]
    vocabulary = Vocabulary(sizes.languages)
    unsaid = range(vocabulary.end_of_text, len(vocabulary.tokens))
    return build_random_model(sizes, folder / shape, compute_type, unsaid=unsaid)


@dataclass(frozen=True, slots=True)
class Contest:
    """A fleet that is ready, and its rivals."""

    fleet: Fleet
    one_by_one: OneByOne
    batched: Pipeline
    loops: BareLoops

    @property
    def contenders(self) -> tuple[Contender, ...]:
        """All of them, the fleet last."""
        return (self.one_by_one, self.batched, self.loops, EndToEnd(self.fleet))


@dataclass(frozen=True)
class Ground:
    """A model on a device. `folder` holds what is recognised.

    The library's threads are chosen by the best of so many `tries` with each number.
    """

    setup: Setup
    batch_size: int
    folder: Path
    tries: int

    @cached_property
    def threads(self) -> dict[str, int]:
        """The numbers of threads with which the library is fastest here, by its contender."""
        if self.setup.device != "cpu":
            return {OneByOne.name: 0, Pipeline.name: 0}
        # The pipeline batches within a file.
        return {
            OneByOne.name: self._suited(self._one_by_one, 30.0),
            Pipeline.name: self._suited(self._pipeline, 90.0),
        }

    @contextmanager
    def contest(self, *options: str, temperatures: tuple[float, ...] = (0.0,)) -> Iterator[Contest]:
        """Start a fleet with a worker of these options, and load its rivals; all are warm."""
        setup = replace(self.setup, temperatures=temperatures)
        options = (
            *("--device", setup.device, "--compute-type", setup.compute_type),
            *("--cpu-threads", str(setup.cpu_threads), "--file-roots", str(self.folder), *options),
        )
        with (
            EmbeddedServer() as server,
            running_fleet(
                server,
                f"bench.{setup.device}",
                setup.model,
                TOKENS,
                *options,
                temperatures=temperatures,
            ) as fleet,
        ):
            contest = Contest(
                fleet,
                self._one_by_one(replace(setup, cpu_threads=self.threads[OneByOne.name])),
                self._pipeline(replace(setup, cpu_threads=self.threads[Pipeline.name])),
                BareLoops(setup),
            )
            file = write_clip(self.folder / "warm-up.ogg", 30.0, seed=0)
            for contender in contest.contenders:
                contender.run([file])
            yield contest

    def _one_by_one(self, setup: Setup) -> OneByOne:
        return OneByOne(setup)

    def _pipeline(self, setup: Setup) -> Pipeline:
        return Pipeline(setup, self.batch_size)

    def _suited(self, make: Callable[[Setup], Library], seconds: float) -> int:
        numbers = sorted({1, self.setup.cpu_threads})
        if len(numbers) == 1:
            return numbers[0]
        file = write_clip(self.folder / f"suit-{seconds:.0f}.ogg", seconds, seed=0)
        took: dict[int, float] = {}
        for number in numbers:
            way = make(replace(self.setup, cpu_threads=number))
            took[number] = min(way.run([file]).seconds for _ in range(self.tries))
        return min(took, key=took.__getitem__)
