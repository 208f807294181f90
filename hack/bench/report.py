"""The figures as a table for people, and as a picture."""

import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from rich.table import Table

from hack.bench.contenders import BareLoops, EndToEnd, OneByOne, Pipeline
from hack.bench.scenarios import Race

if TYPE_CHECKING:
    from hack.bench.recognition import Report

__all__ = ["picture", "table"]

_OTHERS: Final = (OneByOne.name, Pipeline.name, BareLoops.name)
_COLOURS: Final = {
    EndToEnd.name: "#0b7285",
    OneByOne.name: "#adb5bd",
    Pipeline.name: "#ced4da",
    BareLoops.name: "#dee2e6",
}


def table(report: "Report") -> Table:
    """Return all figures; every ratio is of runs on the same audio by turns."""
    facts = report.facts
    found = Table(
        title=f"Recognition on {facts['cores']} cores: tiny's shape, random weights, "
        f"{facts['tokens_per_window']} tokens a window, median of {facts['rounds']}"
    )
    for heading in ("figure", "Whisperfleet", *(f"times the {name}" for name in _OTHERS)):
        found.add_column(heading, justify="left" if heading == "figure" else "right")
    for race in report.races:
        found.add_row(*_row(race))
    for jobs in report.jobs:
        found.add_row(
            f"{jobs.jobs} jobs of 30 s at once",
            f"{statistics.median(jobs.per_second):.2f} jobs/s",
            f"{jobs.ratio:.2f}",
        )
    found.add_section()
    overhead, fairness = report.overhead, report.fairness
    found.add_row("a job of 3 s alone: the engine's time, p50", f"{overhead.engine_ms:.0f} ms")
    found.add_row("  from the file to features", f"{overhead.prep_ms:.1f} ms")
    found.add_row("  the same as faster-whisper does it", f"{overhead.library_prep_ms:.1f} ms")
    found.add_row("  all else, from XADD to result", f"{overhead.queue_ms:.1f} ms")
    found.add_row("a clip of 3 s alone, at most", f"{max(fairness.alone_seconds):.2f} s")
    found.add_row("  beside a 2-hour file, at most", f"{max(fairness.beside_seconds):.2f} s")
    found.add_row("  allowed: alone, and a batch of the file", f"{fairness.allowed_seconds:.2f} s")
    found.add_row("memory for each window of a batch", f"{report.bytes_per_window / 1e6:.0f} MB")
    found.add_row("start of the worker to ready", f"{report.startup_seconds:.2f} s")
    found.add_section()
    if isinstance(report.gpu, str):
        found.add_row("large-v3-turbo's shape on a GPU", report.gpu)
    else:
        found.add_row(*_row(report.gpu.race))
        found.add_row(
            f"  share of what {report.gpu.gpu.name} could do", f"{report.gpu.share_of_limit:.0%}"
        )
    return found


def _row(race: Race) -> Sequence[str]:
    ours = statistics.median(race.seconds[EndToEnd.name])
    return (
        f"{race.name} ({race.files} files, {race.audio_seconds:.0f} s)",
        f"{race.audio_seconds / ours:.1f} x real time",
        *(f"{race.ratio(name):.2f}" for name in _OTHERS),
    )


def picture(races: Sequence[Race]) -> str:
    """Return bars of the times real time of every contender in every race, as SVG."""
    names = (EndToEnd.name, *_OTHERS)
    speeds = {
        race.name: [race.audio_seconds / statistics.median(race.seconds[name]) for name in names]
        for race in races
    }
    most = max(max(own) for own in speeds.values())
    lines = []
    top = 30
    for race, own in speeds.items():
        lines.append(f'<text x="8" y="{top}" font-weight="bold">{escape(race)}</text>')
        for name, speed in zip(names, own, strict=True):
            width = 380 * speed / most
            lines.append(
                f'<text x="190" y="{top + 19}" text-anchor="end">{escape(name)}</text>'
                f'<rect x="198" y="{top + 8}" width="{width:.0f}" height="14" '
                f'fill="{_COLOURS[name]}"/>'
                f'<text x="{204 + width:.0f}" y="{top + 19}">{speed:.1f} x</text>'
            )
            top += 18
        top += 30
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="640" height="{top - 14}" '
        'font-family="sans-serif" font-size="12">\n'
        "<title>Seconds of audio recognised in a second</title>\n"
        '<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(lines) + "\n</svg>\n"
    )
