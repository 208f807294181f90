"""``python -m hack.bench``: one null worker beside bare calls and a bare loop on the same server.

It ends with exit code 1 where a figure is not what is wanted of it.
"""

import argparse
import json
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from hack.bench.queue import (
    WANTED_SHARE,
    WANTED_SPREAD,
    Report,
    measure,
)
from whisperfleet.demo.server import EmbeddedServer, find_server


def main() -> None:
    """Measure, print, and write the figures down where they are asked for."""
    arguments = _parse()
    with EmbeddedServer(find_server((arguments.server,))) as server:
        report = measure(
            server, arguments.jobs, arguments.rounds, tuple(arguments.depths), arguments.in_flight
        )
    Console().print(_table(report))
    if arguments.json:
        arguments.json.write_text(json.dumps(_facts() | asdict(report), indent=2) + "\n")
    if shortfalls := report.shortfalls():
        sys.exit(
            "\n".join(shortfalls) + "\nmeasure again; if it stays, a change made the queue dearer"
        )


def _facts() -> dict[str, object]:
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
    }


def _table(report: Report) -> Table:
    table = Table(title=f"The queue with a null engine, {report.in_flight} jobs in flight")
    for heading in ("figure", "value", "wanted"):
        table.add_column(heading, justify="left" if heading == "figure" else "right")
    for name, ours, servers in (
        ("worker", "worker_us", "server_us"),
        ("its calls alone", "calls_us", "calls_server_us"),
    ):
        table.add_row(
            f"CPU a job: {name}, and the server beside it",
            f"{report.median(ours):.0f} + {report.median(servers):.0f} µs",
            "",
        )
    table.add_row(
        f"what the calls alone cost of the worker, {_spread(report.shares)}",
        f"{report.share:.2f}",
        f">= {WANTED_SHARE}",
    )
    table.add_row("jobs a second, one worker", f"{report.median('jobs_per_second'):,.0f}", "")
    table.add_row(
        "the same, bare XREADGROUP + XACK", f"{report.median('bare_per_second'):,.0f}", ""
    )
    table.add_row(
        f"the one rate to the other, {_spread(report.rate_ratios)}",
        f"{statistics.median(report.rate_ratios):.2f}",
        "",
    )
    for cost in report.costs:
        table.add_row(
            f"CPU a job with {cost.queued:,} queued: worker, lease process, server",
            f"{cost.worker_us:.0f} + {cost.lease_process_us:.0f} + {cost.server_us:.0f} µs",
            "",
        )
    table.add_row(
        "the most of these to the least", f"{report.cost_spread:+.1%}", f"<= {WANTED_SPREAD:.0%}"
    )
    for claim in report.claims:
        table.add_row(f"one claim with {claim.queued:,} queued", f"{claim.us:.0f} µs", "")
    return table


def _spread(ratios: Sequence[float]) -> str:
    return f"median of {len(ratios)} ({min(ratios):.2f} to {max(ratios):.2f})"


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m hack.bench", description=__doc__)
    parser.add_argument("--jobs", type=int, default=5000, help="jobs in each round")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of worker and bare loop")
    parser.add_argument("--in-flight", type=int, default=8, help="jobs of the worker at once")
    parser.add_argument(
        "--depths", type=int, nargs="+", default=[1000, 100_000], help="jobs queued for the CPU"
    )
    parser.add_argument("--server", default="valkey", choices=("valkey", "redis"))
    parser.add_argument("--json", type=Path, help="file for the figures")
    return parser.parse_args()


if __name__ == "__main__":
    main()
