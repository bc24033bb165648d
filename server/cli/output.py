"""Writing answers: for people by default, as JSON with `--json`.

Answers go to standard output, everything else to standard error. With `--json` standard output holds exactly one JSON
document, and each line of standard error is one: `{"notice": ...}` or `{"error": ...}`.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

_CONTROL = {code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), *range(127, 160))}


def plain(value: Any) -> str:
    """Returns a value as text in which nothing can steer a terminal."""
    return "" if value is None else str(value).translate(_CONTROL)


def as_json(value: Any, *, indent: int | None = 2) -> str:
    """Returns a value as JSON text."""
    return json.dumps(value, indent=indent, ensure_ascii=False)


class Output:
    """The two streams of a command.

    Args:
        machine: Write JSON.
    """

    def __init__(self, *, machine: bool) -> None:
        self.machine = machine
        style = {"markup": False, "highlight": False, "emoji": False, "soft_wrap": True}
        self._answers = Console(file=sys.stdout, **style)  # type: ignore[arg-type] # options of different types
        self._notes = Console(file=sys.stderr, **style)  # type: ignore[arg-type] # as above

    def answer(self, value: Any, people: Callable[[], None]) -> None:
        """Writes the command's answer: `value` as JSON, or what `people` writes."""
        if self.machine:
            print(as_json(value))
        else:
            people()

    def line(self, text: str = "", style: str | None = None) -> None:
        """Writes one line for people to standard output."""
        self._answers.print(plain(text), style=style)

    @property
    def width(self) -> int:
        """Columns that standard output has."""
        return self._answers.width

    def pieces(self, pieces: Iterable[tuple[str, str]]) -> None:
        """Writes one line for people to standard output: texts, each with its style."""
        self._answers.print(Text.assemble(*((plain(text), style) for text, style in pieces)))

    def story(self, title: str, *lines: str) -> None:
        """Writes a heading with lines below it for people to standard output; nothing for machines."""
        if not self.machine:
            self.line(title, style="bold")
            for line in lines:
                self.line(f"  {line}")

    def json(self, value: Any) -> None:
        """Writes JSON for people to standard output."""
        self._answers.print(as_json(value))

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Writes a table for people to standard output."""
        table = Table(*headings, box=None, pad_edge=False, header_style="bold")
        for row in rows:
            table.add_row(*(plain(cell) for cell in row))
        self._answers.print(table, soft_wrap=False)

    def notice(self, text: str, **facts: Any) -> None:
        """Writes something worth knowing to standard error."""
        if self.machine:
            print(as_json({"notice": text, **facts}, indent=None), file=sys.stderr, flush=True)
        else:
            self._notes.print(plain(text), style="dim")

    def error(self, text: str, facts: dict[str, Any], detail: str = "") -> None:
        """Writes what went wrong to standard error."""
        if self.machine:
            shown = {"message": text, **facts} | ({"detail": detail} if detail else {})
            print(as_json({"error": shown}, indent=None), file=sys.stderr, flush=True)
            return
        self._notes.print(f"error: {plain(text)}", style="red")
        if detail:
            self._notes.print(detail)
        if facts.get("remedy"):
            self._notes.print(f"remedy: {plain(facts['remedy'])}")

    @contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """Shows on a terminal that, and for how long, something is being waited for."""
        if self.machine or not self._notes.is_terminal:
            yield
            return
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=self._notes, transient=True) as progress:
            progress.add_task(plain(text), total=None)
            yield
