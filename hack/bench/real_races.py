"""Races on real weights and real speech: what is played, and words beside seconds."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Final

from hack.bench.figures import FLEET, ONE_BY_ONE, Race, Rounds
from hack.bench.races import take_turns
from hack.bench.real_contenders import Heard, RealContender
from hack.real.align import align
from hack.real.corpus.build import Extent, build_part
from hack.real.corpus.manifest import Recording
from hack.real.normalise import words_of

__all__ = [
    "MANY_SHORT",
    "REAL_FULL",
    "REAL_TRIAL",
    "TWENTY_ONE",
    "Races",
    "RealPlan",
    "Say",
    "aimed_clips",
    "real_races",
]

Say = Callable[[str], None]

TWENTY_ONE: Final = "clips of 21 s"
_SHORT: Final = "clips of 2 to 12 s"
MANY_SHORT: Final = f"32 {_SHORT}"
_SHORT_SECONDS: Final = (2.0, 12.0)
_AIM_SECONDS: Final = 21.0


@dataclass(frozen=True, slots=True)
class RealPlan:
    """Parts of the corpus that are played, how often, and how many short clips a fleet has at once.

    `file` is a part and how its file's name begins. A file as long as an hour is played less often.
    """

    parts: tuple[str, ...]
    extent: Extent
    rounds: int
    counts: tuple[int, ...]
    short: int
    aimed: int
    mixed: int
    file: tuple[str, str]
    file_rounds: int


# An hour on two cores, a third of it the file of an hour.
REAL_FULL: Final = RealPlan(
    parts=("clips", "readers"),
    extent=Extent.FULL,
    rounds=3,
    counts=(1, 8, 32, 128),
    short=32,
    aimed=48,
    mixed=16,
    file=("files", "an-hour"),
    file_rounds=1,
)
# To see that it works; its figures say nothing.
REAL_TRIAL: Final = RealPlan(
    parts=("clips",),
    extent=Extent.QUICK,
    rounds=1,
    counts=(1, 2),
    short=1,
    aimed=1,
    mixed=2,
    file=("fluent", "fluent"),
    file_rounds=1,
)

Races = Callable[[Sequence[RealContender], Say], tuple[Race, ...]]


def real_races(plan: RealPlan) -> dict[str, Races]:
    """Return the races of a plan by the names of their stages; the corpus is built when they run.

    They raise GroundError where the corpus or a contender cannot be had.
    """

    def clips(contenders: Sequence[RealContender], say: Say) -> tuple[Race, ...]:
        return _by_counts(plan, _short_clips(plan), contenders, say)

    def aimed(contenders: Sequence[RealContender], say: Say) -> tuple[Race, ...]:
        return (_race(TWENTY_ONE, aimed_clips(plan), contenders, plan.rounds, say),)

    def file(contenders: Sequence[RealContender], say: Say) -> tuple[Race, ...]:
        part, begins = plan.file
        found = [one for one in build_part(part, plan.extent) if one.path.name.startswith(begins)]
        name = f"a file of {found[0].seconds / 60:.0f} minutes"
        return (_race(name, found[:1], contenders, plan.file_rounds, say),)

    def mixed(contenders: Sequence[RealContender], say: Say) -> tuple[Race, ...]:
        return (_race("clips of 2 to 30 s", _mixed(plan), contenders, plan.rounds, say),)

    return {"real-clips": clips, "real-21s": aimed, "real-file": file, "real-mixed": mixed}


def aimed_clips(plan: RealPlan) -> list[Recording]:
    """Return the clips that are nearest to 21 s."""
    return sorted(_spoken(plan), key=lambda one: abs(one.seconds - _AIM_SECONDS))[: plan.aimed]


def _spoken(plan: RealPlan) -> list[Recording]:
    """Return the recordings of the parts by turns, as far as each goes."""
    parts = [build_part(part, plan.extent) for part in plan.parts]
    longest = max(map(len, parts))
    return [part[number] for number in range(longest) for part in parts if number < len(part)]


def _short_clips(plan: RealPlan) -> list[Recording]:
    least, most = _SHORT_SECONDS
    return [one for one in _spoken(plan) if least <= one.seconds <= most][: plan.short]


def _mixed(plan: RealPlan) -> list[Recording]:
    """Return clips of every kind and length, evenly from the shortest to the longest."""
    by_length = sorted(_spoken(plan), key=lambda one: one.seconds)
    chosen = by_length[:: max(1, len(by_length) // plan.mixed)][: plan.mixed]
    # The longest first would be the fleet's best order, and the shortest first its worst.
    return [*chosen[::2], *chosen[1::2]]


def _race(
    name: str,
    clips: Sequence[Recording],
    contenders: Sequence[RealContender],
    rounds: int,
    say: Say,
) -> Race:
    entries = {one.name: (one, clips) for one in contenders}
    return _outcome(name, dict.fromkeys(entries, clips), take_turns(name, entries, rounds, say))


def _by_counts(
    plan: RealPlan, clips: Sequence[Recording], contenders: Sequence[RealContender], say: Say
) -> tuple[Race, ...]:
    """Let the fleet have few and many of these clips at once, by turns with the others.

    As on clips alike, a rival has all of them once a round, and the fleet some again. The fleet
    with the other segmenter has them once too: how many it has at once is measured with one.
    """
    others = [one for one in contenders if one.name != FLEET]
    (fleet,) = (one for one in contenders if one.name == FLEET)
    own = {count: list(islice(cycle(clips), count)) for count in plan.counts}
    entries = {one.name: (one, clips) for one in others} | {
        str(count): (fleet, some) for count, some in own.items()
    }
    runs = take_turns(_SHORT, entries, plan.rounds, say)
    theirs = {one.name: runs[one.name] for one in others}
    return tuple(
        _outcome(
            f"{count} {_SHORT}" if count > 1 else "one clip of 2 to 12 s",
            dict.fromkeys(theirs, clips) | {FLEET: some},
            theirs | {FLEET: runs[str(count)]},
        )
        for count, some in own.items()
    )


def _outcome(
    name: str, played: Mapping[str, Sequence[Recording]], runs: Mapping[str, Sequence[Heard]]
) -> Race:
    contenders = {label: _rounds(played[label], some) for label, some in runs.items()}
    pairs = list(_pairs(runs))
    return Race(name, contenders, len(pairs), sum(left == right for left, right in pairs))


def _pairs(runs: Mapping[str, Sequence[Heard]]) -> Iterator[tuple[list[str], list[str]]]:
    """Yield the words of the fleet and of the library one by one, of each file in each round."""
    for ours, theirs in zip(runs[FLEET], runs[ONE_BY_ONE], strict=True):
        for left, right in zip(ours.texts, cycle(theirs.texts), strict=False):
            yield words_of(left), words_of(right)


def _rounds(clips: Sequence[Recording], runs: Sequence[Heard]) -> Rounds:
    words = wrong = 0
    for run in runs:
        for clip, text in zip(clips, run.texts, strict=True):
            said = [word for phrase in clip.phrases for word in words_of(phrase.text)]
            words += len(said)
            wrong += align(said, words_of(text)).wrong
    return Rounds(
        files=len(clips),
        audio_seconds=sum(clip.seconds for clip in clips),
        windows=runs[0].windows,
        seconds=tuple(run.seconds for run in runs),
        words=words,
        wrong=wrong,
        flop=runs[0].flop,
    )
