"""``python -m hack.chaos --jobs 2000 --seed 1``: exit code 1 where a promise was broken."""

import argparse
import shlex
import statistics
import sys
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from hack.chaos.monkey import FAULTS
from hack.chaos.plan import Mix
from hack.chaos.run import Outcome, Settings, run_chaos

_SHOWN = 20


def main() -> int:
    """Run it once and say what happened."""
    arguments = _parse()
    settings = Settings(
        jobs=arguments.jobs,
        seed=arguments.seed,
        mix=arguments.mix,
        server=arguments.server,
        workers=arguments.workers,
        beside=tuple(shlex.split(arguments.beside)),
        lease_seconds=arguments.lease,
        faults=arguments.faults,
        kinds=tuple(arguments.only or FAULTS),
        gap_seconds=arguments.gap,
        limit_seconds=arguments.limit,
    )
    if arguments.logs:
        arguments.logs.mkdir(parents=True, exist_ok=True)
    outcome = run_chaos(settings, arguments.logs)
    console = Console()
    console.print(_table(settings, outcome))
    for violation in outcome.violations[:_SHOWN]:
        console.print(violation, style="red", markup=False, highlight=False)
    console.print(_verdict(settings, outcome), markup=False)
    return 1 if outcome.violations else 0


def _table(settings: Settings, outcome: Outcome) -> Table:
    table = Table(title=f"{settings.jobs} jobs under fire, seed {settings.seed}")
    for heading in ("sent", "ended", "faults", "used"):
        table.add_column(heading)
    table.add_row(
        _lines(outcome.kinds | {"duplicates of these": outcome.duplicates}),
        _lines({str(state): count for state, count in outcome.books.states.items()}),
        _lines(outcome.faults | {"worker processes that ended": outcome.deaths}),
        _lines(_of_all_tenants(outcome.books.usage)),
    )
    return table


def _of_all_tenants(usage: Counter[str]) -> Counter[str]:
    totals: Counter[str] = Counter()
    for name, amount in usage.items():
        totals[name.rpartition("/")[2]] += amount
    return totals


def _lines(counts: dict[str, int]) -> str:
    return "\n".join(f"{count:6} {name}" for name, count in sorted(counts.items()))


def _verdict(settings: Settings, outcome: Outcome) -> str:
    recoveries = outcome.recoveries or [0.0]
    suspensions = outcome.suspensions or [0.0]
    kept = f"{len(outcome.violations)} VIOLATIONS" if outcome.violations else "nothing lost"
    return (
        f"{kept}; {outcome.runs:.3f} runs a job; {outcome.reclaimed} attempts taken over, from the "
        "fault to the next attempt "
        f"{statistics.median(recoveries):.1f} s in the median and {max(recoveries):.1f} s at the "
        f"most, of poison {max(suspensions):.1f} s (lease {settings.lease_seconds:g} s); "
        f"{outcome.seconds:.0f} s in all, seed {settings.seed}"
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m hack.chaos", description=__doc__)
    parser.add_argument("--jobs", type=int, default=2000, help="how many different jobs")
    parser.add_argument("--seed", type=int, default=1, help="what every choice comes from")
    parser.add_argument("--mix", type=Mix, default=Mix.FAULTY, choices=list(Mix))
    parser.add_argument("--server", default="valkey", choices=("valkey", "redis"))
    parser.add_argument("--workers", type=int, default=3, help="worker processes")
    parser.add_argument("--beside", default="", help="command of every second worker")
    parser.add_argument("--lease", type=float, default=1.5, help="seconds of a lease")
    parser.add_argument("--faults", type=int, default=40, help="how often the monkey strikes")
    parser.add_argument("--only", action="append", choices=list(FAULTS), help="kinds of faults")
    parser.add_argument("--gap", type=float, default=1.0, help="seconds between faults, on average")
    parser.add_argument("--limit", type=float, default=900.0, help="seconds until it is given up")
    parser.add_argument("--logs", type=Path, help="folder for the logs of the workers")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
