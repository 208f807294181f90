"""Which lines of the product the tests ran, a figure a package.

Counted are the tests' own processes: a worker or an operator that a test starts counts for nothing,
so what runs only there looks less tried than it is.
"""

import argparse
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Share", "shares"]


@dataclass(frozen=True, slots=True)
class Share:
    """Lines of one package, and how many of them ran."""

    package: str
    lines: int
    run: int

    @property
    def percent(self) -> float:
        """What ran of a hundred lines; 100 where there are none."""
        return 100.0 * self.run / self.lines if self.lines else 100.0


def shares(report: Mapping[str, Any]) -> list[Share]:
    """Return a share for each package of SlipCover's report by name, and at last that of all."""
    lines: Counter[str] = Counter()
    run: Counter[str] = Counter()
    for name, file in report["files"].items():
        package = _package(Path(name))
        run[package] += len(file["executed_lines"])
        lines[package] += len(file["executed_lines"]) + len(file["missing_lines"])
    parts = [Share(package, lines[package], run[package]) for package in sorted(lines)]
    return [*parts, Share("all", lines.total(), run.total())]


def _package(path: Path) -> str:
    """Return the folders of a module below `inference` or `operator`, two of them at most."""
    folders = path.parent.parts
    begin = next((n for n, folder in enumerate(folders) if folder.startswith("whisperfleet")), 0)
    return ".".join(folders[begin : begin + 2])


def main() -> None:
    """Print a line for each package of a report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path, help="what `python -m slipcover --json` wrote")
    report = parser.parse_args().report
    print("lines that ran in the tests' own processes:")
    for share in shares(json.loads(report.read_text())):
        print(f"{share.percent:6.1f} %  {share.package} ({share.run} of {share.lines})")


if __name__ == "__main__":
    main()
