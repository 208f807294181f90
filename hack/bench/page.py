"""``python -m hack.bench.page PAGE FIGURES…``: the figures of `--json` into a page of the docs.

What is between the two markers is replaced; each file of figures becomes a paragraph on how they
were taken, and tables.
"""

import sys
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from hack import table
from hack.bench.figures import BATCHED, ONE_BY_ONE, Report
from hack.bench.report import tables

__all__ = ["BEGIN", "END", "filled"]

BEGIN: Final = "<!-- figures: python -m hack.bench.page -->"
END: Final = "<!-- end of figures -->"


def filled(page: str, reports: list[Report]) -> str:
    """Return the page with the figures between its markers. Raises ValueError without them."""
    parts = [part for report in reports for part in (_facts(report), *_tables(report))]
    return table.filled(page, BEGIN, END, parts)


def _tables(report: Report) -> list[str]:
    return [one.to_markdown() for one in tables(report)]


def _facts(report: Report) -> str:
    facts = report.facts
    versions = {"Python": facts["python"], **facts["packages"]}
    packages = ", ".join(f"{name} {number}" for name, number in versions.items())
    load = f"load {facts['load_before']} before, {facts['load_after']} after"
    lines = [
        f"{facts['at'][:10]}, {facts['cores']} cores of {facts['cpu']}, {load};",
        f"{facts['minutes']} minutes at commit {facts['commit']}; {packages}.",
    ]
    if "threads" in facts:
        threads = facts["threads"]
        lines.append(
            f"The library was fastest with these numbers of threads: one by one "
            f"{threads[ONE_BY_ONE]} (a clip of 30 s), batched {threads[BATCHED]} (a file of 90 s)."
        )
    if report.real:
        threads = ", ".join(f"{name} {number}" for name, number in report.real.threads.items())
        lines.append(f"With {report.real.model} the rivals were fastest with these: {threads}.")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    where = Path(sys.argv[1])
    found = [TypeAdapter(Report).validate_json(Path(name).read_bytes()) for name in sys.argv[2:]]
    where.write_text(filled(where.read_text(), found))
