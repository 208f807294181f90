"""The races as a picture."""

from collections.abc import Sequence
from typing import Final
from xml.sax.saxutils import escape

from hack.bench.figures import BATCHED, FLEET, LOOPS, ONE_BY_ONE, Race

__all__ = ["picture"]

_COLOURS: Final = {
    FLEET: "#0b7285",
    ONE_BY_ONE: "#adb5bd",
    BATCHED: "#ced4da",
    LOOPS: "#dee2e6",
}


def picture(races: Sequence[Race]) -> str:
    """Return bars of the times real time of every contender in every race, as SVG."""
    speeds = {
        race.name: {
            name: race.contenders[name].speed for name in _COLOURS if name in race.contenders
        }
        for race in races
    }
    most = max(max(own.values()) for own in speeds.values())
    lines = []
    top = 30
    for race, own in speeds.items():
        lines.append(f'<text x="8" y="{top}" font-weight="bold">{escape(race)}</text>')
        for name, speed in own.items():
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
