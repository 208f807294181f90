"""The figures as tables, for a terminal and for a page."""

import statistics
from collections.abc import Iterator, Sequence
from typing import Final

from hack.bench.figures import (
    FLEET,
    ONE_BY_ONE,
    RIVALS,
    Fairness,
    GpuReport,
    Memory,
    Overhead,
    Race,
    Report,
)
from hack.bench.real_report import real_figures, real_table
from hack.table import Row, Table

__all__ = ["tables"]

_RATIO_WANTED: Final = 1.4
_RATIO_CLIPS: Final = 32
_OVERHEAD_MS: Final = 10.0
_GPU_RATIO: Final = 8.0
_GPU_SHARE: Final = 0.6


def tables(report: Report) -> list[Table]:
    """Return the races, if there were any, and all single figures beside what was wanted."""
    found = []
    if report.races:
        title = (
            f"{report.facts['shape']}'s shape on {report.facts['cores']} cores, median of "
            f"{report.facts['rounds']} rounds (least to most)"
        )
        found.append(_races(title, report.races))
    if report.real:
        found.append(real_table(report.real, report.facts["cores"]))
    if isinstance(report.gpu, GpuReport):
        found.append(_races(f"large-v3-turbo's shape on {report.gpu.name}", report.gpu.races))
    found.append(
        Table("What was wanted", ("Figure", "Value", "Wanted", "Met"), tuple(_figures(report)))
    )
    return found


def _races(title: str, races: Sequence[Race]) -> Table:
    headings = (
        *("Audio", "Times real time", *(f"To {name}" for name in RIVALS)),
        *("Windows, and the library's", "Same text"),
    )
    return Table(title, headings, tuple(_race(race) for race in races))


def _race(race: Race) -> Row:
    ours, library = race.contenders[FLEET], race.contenders[ONE_BY_ONE]
    files = f"{ours.files} files" if ours.files > 1 else "1 file"
    # The library had each of its files once, where the fleet had some again or only some.
    theirs = library.windows * ours.files / library.files
    return (
        f"{race.name} ({files}, {ours.audio_seconds:.0f} s)",
        f"{ours.speed:.0f}",
        *(_ratio(race, name) for name in RIVALS),
        f"{ours.windows}, {theirs:.0f}",
        f"{race.alike} of {race.compared}" if race.compared else "no single windows",
    )


def _ratio(race: Race, rival: str) -> str:
    if rival not in race.contenders:
        return "not in it"
    ratios = race.ratios(rival)
    return f"{race.ratio(rival):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def _figures(report: Report) -> Iterator[Row]:
    yield from _ratios(report.races)
    if report.real:
        yield from real_figures(report.real)
    if report.overhead:
        yield from _overhead(report.overhead)
    if report.fairness:
        yield from _fairness(report.fairness)
    if report.memory:
        yield _memory("Memory for each window of a batch", report.memory)
    if report.startup_seconds:
        seconds = report.startup_seconds
        value = f"{statistics.median(seconds):.2f} s"
        yield (f"Start of the worker to ready, median of {len(seconds)}", value, "", "")
    if isinstance(report.gpu, str):
        yield ("large-v3-turbo's shape on a GPU", _first_line(report.gpu), "", "")
    else:
        yield from _gpu(report.gpu)
    for name, why in report.failed.items():
        if name != "gpu":
            yield (f"The stage {name}", f"failed: {_first_line(why)}", "", "")


def _ratios(races: Sequence[Race]) -> Iterator[Row]:
    for race in races:
        if race.name.startswith(f"{_RATIO_CLIPS} clips"):
            ratio = race.ratio(ONE_BY_ONE)
            yield (
                f"{race.name}, end to end, to {ONE_BY_ONE}",
                f"{ratio:.2f}",
                f"{_RATIO_WANTED} or more",
                _met(ratio >= _RATIO_WANTED),
            )


def _overhead(found: Overhead) -> Iterator[Row]:
    yield ("A job of 3 s alone, p50: from XADD to result", f"{found.job_ms:.0f} ms", "", "")
    yield ("the engine's part of it", f"{found.engine_ms:.0f} ms", "", "")
    yield (
        "overhead: all beside the engine's part",
        f"{found.outside_ms:.1f} ms",
        f"under {_OVERHEAD_MS:.0f} ms",
        _met(found.outside_ms < _OVERHEAD_MS),
    )
    yield ("of that from the file to features", f"{found.prep_ms:.1f} ms", "", "")
    yield ("of that what remains: queue, threads, result", f"{found.queue_ms:.1f} ms", "", "")
    yield ("`WhisperModel.transcribe` of the same clip", f"{found.rival_ms:.0f} ms", "", "")
    yield (
        "its own way from the file to features, in this large process",
        f"{found.rival_prep_ms:.1f} ms",
        "",
        "",
    )
    yield (
        "overhead: a job longer than the library's call by",
        f"{found.over_rival_ms:+.1f} ms",
        f"under {_OVERHEAD_MS:.0f} ms",
        _met(found.over_rival_ms < _OVERHEAD_MS),
    )


def _fairness(found: Fairness) -> Iterator[Row]:
    most = max(found.beside_seconds)
    yield (
        f"A clip of 3 s alone, the longest of {len(found.alone_seconds)}",
        f"{max(found.alone_seconds):.2f} s",
        "",
        "",
    )
    yield (
        f"beside a file of two hours, the longest of {len(found.beside_seconds)}",
        f"{most:.2f} s",
        f"its time alone and one batch: {found.allowed_seconds:.2f} s",
        _met(most <= found.allowed_seconds),
    )


def _memory(name: str, found: Memory) -> Row:
    return (name, f"{found.bytes_per_window / 1e6:.0f} MB", "", "")


def _gpu(found: GpuReport) -> Iterator[Row]:
    value = found.races[-1].ratio(ONE_BY_ONE)
    yield (
        f"{found.name}: {found.races[-1].name}, to {ONE_BY_ONE}",
        f"{value:.2f}",
        f"{_GPU_RATIO:.0f} or more on an H200",
        _met(value >= _GPU_RATIO) if "H200" in found.name else "",
    )
    own = found.seconds_per_window
    if found.attainable_seconds is None or found.data_sheet_seconds is None:
        yield ("share of its limit", "its data sheet is not in hack/bench/gpu.py", "", "")
    else:
        share = found.attainable_seconds / own
        yield (
            f"share of what can be reached, {found.attainable_seconds * 1000:.2f} ms a window",
            f"{share:.0%}",
            f"{_GPU_SHARE:.0%} or more",
            _met(share >= _GPU_SHARE),
        )
        yield (
            f"share of the data sheet, {found.data_sheet_seconds * 1000:.2f} ms a window",
            f"{found.data_sheet_seconds / own:.0%}",
            "",
            "",
        )
    yield _memory("its memory for each window of a batch", found.memory)
    yield ("windows in a batch", f"{found.batch_size}", "", "")


def _first_line(why: str) -> str:
    # A worker's log may follow; the whole is among the figures.
    return why.partition("\n")[0]


def _met(met: bool) -> str:
    return "yes" if met else "no"
