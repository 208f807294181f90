"""The figures on real weights as a table, and what was wanted of them."""

from collections.abc import Iterator
from typing import Final

from hack.bench.figures import FLEET, ONE_BY_ONE, REAL_RIVALS, SEQUENTIAL, Race, RealReport
from hack.bench.real_races import MANY_SHORT, TWENTY_ONE
from hack.real.board import PART_POINTS
from hack.table import Row, Table

__all__ = ["real_figures", "real_table"]

# By race and segmenter: what 0.1.0 had on two cores, but for what it costs to lose no words.
_WANTED: Final = {
    (TWENTY_ONE, FLEET): 2.2,
    (TWENTY_ONE, SEQUENTIAL): 2.29,
    (MANY_SHORT, FLEET): 1.49,
}


def real_table(real: RealReport, cores: int) -> Table:
    """Return a row for each race: speed and wrong words of everyone, and the fleet's share."""
    headings = (
        *("Audio", FLEET, *REAL_RIVALS, SEQUENTIAL),
        *("Share of the cores' peak", "Same words as one by one"),
    )
    title = (
        f"{real.model} on {cores} cores: times real time, wrong words in a hundred, and how many "
        f"times as fast {FLEET}, is as a rival, median of the rounds (least to most); of "
        f"{SEQUENTIAL}, how many times as fast it is as the {ONE_BY_ONE}"
    )
    return Table(title, headings, tuple(_race(real, race) for race in real.races))


def real_figures(real: RealReport) -> Iterator[Row]:
    """Yield what was wanted and what was found, rivals that did not run, and the cores' peak."""
    for race in real.races:
        for (name, fleet), wanted in _WANTED.items():
            if name == race.name:
                yield _speed(real, race, fleet, wanted)
                yield _words(real, race, fleet)
    for rival, why in real.missing.items():
        yield (f"{real.model}: {rival}", why.partition("\n")[0], "", "")
    one, every = real.peak.one_thread / 1e9, real.peak.all_threads / 1e9
    yield ("numpy's float32 product, one thread", f"{one:.0f} GFLOP/s", "", "")
    yield ("the same, all cores", f"{every:.0f} GFLOP/s", "", "")


def _race(real: RealReport, race: Race) -> Row:
    ours = race.contenders[FLEET]
    files = f"{ours.files} files" if ours.files > 1 else "1 file"
    return (
        f"{race.name} ({files}, {ours.audio_seconds:.0f} s)",
        _own(race, FLEET),
        *(_rival(race, name, name, FLEET) for name in REAL_RIVALS),
        _rival(race, SEQUENTIAL, ONE_BY_ONE, SEQUENTIAL),
        f"{ours.flop_per_second / real.peak.most:.0%}",
        f"{race.alike} of {race.compared}",
    )


def _own(race: Race, name: str) -> str:
    own = race.contenders[name]
    return f"{own.speed:.1f} x, {own.error_rate:.2f} %"


def _rival(race: Race, name: str, slower: str, faster: str) -> str:
    """Return what `name` had, and the ratio between two others of whom it is one."""
    if name not in race.contenders:
        return "not run"
    ratios = race.ratios(slower, faster)
    ratio = f"{race.ratio(slower, faster):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    return f"{_own(race, name)}; {ratio}"


def _speed(real: RealReport, race: Race, fleet: str, wanted: float) -> Row:
    ratio = race.ratio(ONE_BY_ONE, fleet)
    return (
        f"{real.model}, {race.name}: {fleet}, to {ONE_BY_ONE}",
        f"{ratio:.2f}",
        f"{wanted} or more",
        "yes" if ratio >= wanted else "no",
    )


def _words(real: RealReport, race: Race, fleet: str) -> Row:
    ours = race.contenders[fleet].error_rate
    most = race.contenders[ONE_BY_ONE].error_rate + PART_POINTS
    return (
        f"{real.model}, {race.name}: {fleet}, wrong words",
        f"{ours:.2f} %",
        f"at most the library's and {PART_POINTS}: {most:.2f} %",
        "yes" if ours <= most else "no",
    )
