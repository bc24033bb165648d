"""The results as a table, as JSON, and in the page `docs/performance.md`."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.figures import Figure
from benchmarks.machine import Machine

BEGIN, END = "<!-- results: written by `python -m benchmarks --write` -->", "<!-- end of results -->"
_HEADS = ("What", "Floor", "Patchbay", "Ratio", "Goal", "")


def show(machine: Machine, figures: Sequence[Figure], console: Console) -> None:
    """Prints the table."""
    table = Table(*_HEADS, caption="\n".join(machine.lines), caption_justify="left")
    for one in figures:
        table.add_row(*_cells(one))
    console.print(table)


def to_json(machine: Machine, figures: Sequence[Figure]) -> str:
    """Returns everything that was measured."""
    rows = [{**asdict(one), "met": one.met} for one in figures]
    return json.dumps({"machine": asdict(machine), "figures": rows}, indent=2)


def write(page: Path, machine: Machine, figures: Sequence[Figure]) -> None:
    """Replaces the results in the page; raises ValueError when it has no place for them."""
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page.name} lacks the lines {BEGIN} and {END}")
    page.write_text(f"{before}{BEGIN}\n\n{_markdown(machine, figures)}\n{END}{after}", encoding="utf-8")


def _markdown(machine: Machine, figures: Sequence[Figure]) -> str:
    lines = [f"- {line}" for line in machine.lines]
    lines += ["", f"| {' | '.join(head or 'Note' for head in _HEADS)} |", "| --- | ---: | ---: | ---: | --- | --- |"]
    lines += [f"| {' | '.join(_cells(one))} |" for one in figures]
    return "\n".join(lines) + "\n"


def _cells(one: Figure) -> tuple[str, ...]:
    low, high = one.spread
    ratio = f"{one.ratio:.2f}" if low == high else f"{one.ratio:.2f} ({low:.2f} to {high:.2f})"
    goal = one.goal_text
    if one.met is not None:
        goal += ": met" if one.met else ": NOT MET"
    return one.name, f"{_number(one.floor)} {one.unit}", f"{_number(one.ours)} {one.unit}", ratio, goal, one.note


def _number(value: float) -> str:
    """Returns about three digits."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
