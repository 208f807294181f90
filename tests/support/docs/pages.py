"""The project's pages: their headings, links and fenced code."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[3]

_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def pages() -> list[Path]:
    """Return what a reader of the repository reads."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    return sorted(file for file in found if "node_modules" not in file.parts)


def links(page: Path) -> Iterator[str]:
    """Yield where a page links to within the repository."""
    for target in _LINK.findall(_FENCE.sub("", page.read_text("utf-8"))):
        if not re.match(r"[a-z]+:", target):
            yield target


def anchors(page: Path) -> set[str]:
    """Return the fragments under which the headings of a page are found."""
    headings = _HEADING.findall(_FENCE.sub("", page.read_text("utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def quoted(page: Path, language: str) -> Iterator[tuple[Path, str]]:
    """Yield what a page quotes in a language, and the file that the line before it names."""
    pattern = re.compile(
        rf"^\[[^\]]*\]\(([^)]+)\):\n\n```{language}\n(.*?)^```$", re.MULTILINE | re.DOTALL
    )
    for target, code in pattern.findall(page.read_text("utf-8")):
        yield (page.parent / target).resolve(), code
