"""The benchmarks run with tiny counts."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import __main__ as program
from benchmarks import report
from benchmarks.figures import Figure
from benchmarks.machine import this_machine
from benchmarks.measures import ALL, Size
from benchmarks.rounds import Contender, MeasurementInvalid, Plan, burst
from benchmarks.stage import Stage, staged

TINY = Size(Plan(rounds=2, seconds=0.1), tenants=20, rows=200, starts=1, bookings=5)


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """One stage for the measurements of this module."""
    with staged() as one:
        yield one


def _figure(**changes: object) -> Figure:
    facts = {"name": "Call", "unit": "ms", "floor": 1.0, "ours": 2.5, "ratio": 2.5, "spread": (2.0, 3.0), "added": 1.5}
    return Figure(**(facts | changes))  # type: ignore[arg-type] # of the fields' types, by the callers below


def test_the_program_measures_prints_and_keeps(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two measurements come out as a table, as JSON, and in the page between its marks."""
    page, kept = tmp_path / "page.md", tmp_path / "kept.json"
    page.write_text(f"Before\n{report.BEGIN}\nstale figures\n{report.END}\nAfter\n")
    monkeypatch.setattr(program, "PAGE", page)
    monkeypatch.setattr(program, "_QUICK", TINY)
    assert program.main(["--quick", "--only", "catalog", "--only", "memory", "--write", "--json", str(kept)]) == 0
    figures = json.loads(kept.read_text())["figures"]
    assert [one["name"].split(",")[0] for one in figures] == [
        "Catalog call",
        "Catalog call",
        "Memory per 10",
    ]
    assert all(one["floor"] > 0 for one in figures)
    assert "Catalog call, 32 in flight" in capsys.readouterr().out
    text = page.read_text()
    assert text.startswith("Before\n")
    assert text.endswith("After\n")
    assert "| Catalog call, 32 in flight |" in text
    assert "stale figures" not in text


@pytest.mark.parametrize("name", ["execute", "two-step", "replay", "read", "board", "rows", "startup"])
def test_every_other_measurement_runs(stage: Stage, name: str) -> None:
    """Each measurement starts its parties, makes its calls, and checks that they did what they should."""
    figures = ALL[name](stage, TINY)
    assert figures
    assert all(one.floor > 0 and one.ours > 0 and one.ratio > 0 for one in figures)


def test_a_call_that_fails_gives_no_number(stage: Stage) -> None:
    """A contender that does not know the method ends the measurement instead of being very fast."""
    unknown = Contender("unknown", stage.floor, "/floor/None", [b""])
    with pytest.raises(MeasurementInvalid, match="UNIMPLEMENTED"):
        burst(stage, unknown, 1, calls=1)


def test_nothing_stays_behind() -> None:
    """When a stage ends, its processes and its folder are gone."""
    with staged() as stage:
        children = [stage.vendor, stage.load]
        assert all(child.process.poll() is None for child in children)
    assert all(child.process.poll() == 0 for child in children)
    assert not stage.folder.exists()


def test_goals_speak_of_ratio_or_difference() -> None:
    """A goal is judged in its direction, on the ratio or on what is added; without one nothing is judged."""
    assert _figure().met is None
    assert _figure(goal=0.9, ratio=0.95).met is True
    assert _figure(goal=0.9, ratio=0.85).met is False
    assert _figure(goal=3.0, goal_on="added", better="lower").met is True
    assert _figure(goal=1.0, goal_on="added", better="lower").met is False
    assert _figure(goal=1.0, goal_on="added", better="lower").goal_text == "at most 1 ms more"


def test_a_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    """Results are written only where the page has a place for them."""
    page = tmp_path / "page.md"
    page.write_text("text\n")
    with pytest.raises(ValueError, match=r"page\.md"):
        report.write(page, this_machine(), [_figure()])
    assert page.read_text() == "text\n"
