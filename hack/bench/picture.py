"""The races as a picture."""

from collections.abc import Sequence
from typing import Final
from xml.sax.saxutils import escape

from hack.bench.figures import (
    BATCHED,
    FLEET,
    LOOPS,
    ONE_BY_ONE,
    SEQUENTIAL,
    WHISPER_CPP,
    Race,
    Rounds,
)

__all__ = ["picture"]

_COLOURS: Final = {
    FLEET: "#0b7285",
    SEQUENTIAL: "#3bc9db",
    ONE_BY_ONE: "#adb5bd",
    BATCHED: "#ced4da",
    LOOPS: "#dee2e6",
    WHISPER_CPP: "#e9ecef",
}


def picture(races: Sequence[Race]) -> str:
    """Return bars of the times real time of every contender in every race, as SVG.

    Where words were said, how many in a hundred were wrong stands beside a bar.
    """
    most = max(own.speed for race in races for own in race.contenders.values())
    lines = []
    top = 30
    for race in races:
        lines.append(f'<text x="8" y="{top}" font-weight="bold">{escape(race.name)}</text>')
        for name in _COLOURS:
            if name not in race.contenders:
                continue
            own = race.contenders[name]
            width = 340 * own.speed / most
            lines.append(
                f'<text x="190" y="{top + 19}" text-anchor="end">{escape(name)}</text>'
                f'<rect x="198" y="{top + 8}" width="{width:.0f}" height="14" '
                f'fill="{_COLOURS[name]}"/>'
                f'<text x="{204 + width:.0f}" y="{top + 19}">{_said(own)}</text>'
            )
            top += 18
        top += 30
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="640" height="{top - 14}" '
        'font-family="sans-serif" font-size="12">\n'
        "<title>Seconds of audio recognised in a second</title>\n"
        '<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(lines) + "\n</svg>\n"
    )


def _said(own: Rounds) -> str:
    wrong = f", {own.error_rate:.2f} % wrong" if own.words else ""
    return f"{own.speed:.1f} x{wrong}"
