"""`python -m benchmarks`: measures, prints a table, and says whether the goals are met."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

from rich.console import Console

from benchmarks import report
from benchmarks.figures import Figure
from benchmarks.machine import this_machine
from benchmarks.measures import ALL, Size
from benchmarks.processes import ROOT
from benchmarks.rounds import Plan
from benchmarks.stage import staged

PAGE = ROOT / "docs" / "performance.md"
_FULL = Size(Plan(rounds=9, seconds=1.5), tenants=10_000, rows=1_000_000, starts=5, bookings=500)
_QUICK = Size(Plan(rounds=3, seconds=0.5), tenants=1_000, rows=20_000, starts=1, bookings=50)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmarks; returns 0 whatever the numbers are: they are read, not enforced."""
    given = _parser().parse_args(arguments)
    size = _QUICK if given.quick else _FULL
    size = Size(size.plan, size.tenants, given.rows or size.rows, size.starts, size.bookings)
    progress = Console(stderr=True)
    machine, figures = this_machine(), list[Figure]()
    with staged() as stage:
        for name in given.only or ALL:
            began = monotonic()
            figures += ALL[name](stage, size)
            progress.print(f"{name}: {monotonic() - began:.0f} s")
    report.show(machine, figures, Console(width=None if sys.stdout.isatty() else 170))
    if given.json:
        given.json.write_text(report.to_json(machine, figures), encoding="utf-8")
    if given.write:
        report.write(PAGE, machine, figures)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", action="append", choices=ALL, help="One measurement; may be repeated.")
    parser.add_argument("--quick", action="store_true", help="Less than a minute; the numbers are rough.")
    parser.add_argument("--rows", type=int, help="Rows of the large table.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="Also write everything as JSON.")
    parser.add_argument("--write", action="store_true", help="Put the results into docs/performance.md.")
    return parser


if __name__ == "__main__":
    sys.exit(main())
