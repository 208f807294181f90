"""Contenders that take turns with the same audio, and whether they did the same work."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Final, Protocol, TypeVar

from hack.bench.audio import write_clip
from hack.bench.contenders import Contender, Run, WorkError
from hack.bench.figures import FLEET, ONE_BY_ONE, Race, Rounds

__all__ = ["Clip", "race", "race_counts", "take_turns", "write_clips"]

# The segmenters divide long files at different pauses, so the numbers of windows differ a little.
_LEAST_SHARE_OF_WINDOWS: Final = 0.95

Say = Callable[[str], None]


class Timed(Protocol):
    """A run that took so many seconds."""

    @property
    def seconds(self) -> float:
        """From the first file to the last word."""


class Played(Protocol):
    """Something with a file of sound."""

    @property
    def path(self) -> Path:
        """The file."""


Ran = TypeVar("Ran", bound=Timed)
Ran_co = TypeVar("Ran_co", bound=Timed, covariant=True)


class Runner(Protocol[Ran_co]):
    """Something that recognises files."""

    def run(self, files: Sequence[Path]) -> Ran_co:
        """Recognise them."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A file of so many seconds."""

    path: Path
    seconds: float


def write_clips(name: str, lengths: Sequence[float], folder: Path) -> list[Clip]:
    """Write speech of these lengths in seconds, each something else."""
    stem = name.replace(" ", "-")
    return [
        Clip(write_clip(folder / f"{stem}-{number}.ogg", seconds, seed=number), seconds)
        for number, seconds in enumerate(lengths)
    ]


def race(
    name: str, clips: Sequence[Clip], contenders: Sequence[Contender], rounds: int, say: Say
) -> Race:
    """Let all contenders, the fleet among them, take turns with the same clips."""
    entries = {contender.name: (contender, clips) for contender in contenders}
    return _outcome(name, clips, clips, take_turns(name, entries, rounds, say))


def race_counts(
    counts: Sequence[int],
    clips: Sequence[Clip],
    contenders: Sequence[Contender],
    rounds: int,
    say: Say,
) -> tuple[Race, ...]:
    """Let the fleet have few and many of these clips at once, by turns with its rivals.

    A rival's rate does not depend on how many there are, so each has all of them once a round.
    Beyond their number the fleet gets clips again: its cache is off, and every job has its own id.
    """
    rivals = [contender for contender in contenders if contender.name != FLEET]
    (fleet,) = (contender for contender in contenders if contender.name == FLEET)
    own = {count: list(islice(cycle(clips), count)) for count in counts}
    entries = {rival.name: (rival, clips) for rival in rivals} | {
        str(count): (fleet, some) for count, some in own.items()
    }
    runs = take_turns("clips alike", entries, rounds, say)
    theirs = {rival.name: runs[rival.name] for rival in rivals}
    return tuple(
        _outcome(
            f"{count} clips of {clips[0].seconds:.0f} s" if count > 1 else "one clip alone",
            clips,
            some,
            theirs | {FLEET: runs[str(count)]},
        )
        for count, some in own.items()
    )


def take_turns(
    name: str,
    entries: Mapping[str, tuple[Runner[Ran], Sequence[Played]]],
    rounds: int,
    say: Say,
) -> dict[str, list[Ran]]:
    """Let each entry run its clips, one entry after the other, in every round."""
    runs: dict[str, list[Ran]] = {label: [] for label in entries}
    for number in range(rounds):
        for label, (runner, clips) in entries.items():
            runs[label].append(runner.run([clip.path for clip in clips]))
        times = ", ".join(f"{label} {own[-1].seconds:.1f} s" for label, own in runs.items())
        say(f"{name}, round {number + 1} of {rounds}: {times}")
    return runs


def _outcome(
    name: str, clips: Sequence[Clip], own: Sequence[Clip], runs: Mapping[str, Sequence[Run]]
) -> Race:
    """Return a race in which the fleet had `own`, which is `clips` over again or a part of them.

    Raises WorkError where the fleet recognised less of the same files than the library.
    """
    ours = runs[FLEET]
    compared = alike = 0
    for mine, theirs in zip(ours, runs[ONE_BY_ONE], strict=True):
        expected = sum(islice(cycle(theirs.windows), len(own)))
        if sum(mine.windows) < _LEAST_SHARE_OF_WINDOWS * expected:
            raise WorkError(
                f"{name}: the fleet made {sum(mine.windows)} windows of what is {expected} for the "
                "library, so their times cannot be compared"
            )
        pairs = zip(
            zip(mine.windows, mine.texts, strict=True),
            cycle(zip(theirs.windows, theirs.texts, strict=True)),
            strict=False,
        )
        same = [left == right for left, right in pairs if left[0] == right[0] == 1]
        compared += len(same)
        alike += sum(same)
    contenders = {
        label: Rounds(
            files=len(own if label == FLEET else clips),
            audio_seconds=sum(clip.seconds for clip in (own if label == FLEET else clips)),
            windows=sum(some[0].windows),
            seconds=tuple(run.seconds for run in some),
        )
        for label, some in runs.items()
    }
    return Race(name, contenders, compared, alike)
