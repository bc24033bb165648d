"""CSV as people and spreadsheets write it: UTF-8 with or without a mark, columns separated by `,` or `;`."""

import csv
import io
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from server.cli.problems import Problem

_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the line of the file on which it begins, and its cells by column, without the empty ones."""

    line: int
    cells: dict[str, str]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A file with its columns and rows."""

    name: str
    columns: Sequence[str]
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong in one place. `column`: empty for the whole row."""

    line: int
    column: str
    message: str

    def __str__(self) -> str:
        return (
            f"line {self.line}, {self.column}: {self.message}" if self.column else f"line {self.line}: {self.message}"
        )


def demand_none(mistakes: Collection[Mistake], name: str, consequence: str = "nothing was imported") -> None:
    """Raises Problem when there are mistakes; the detail has a line for each of the first ones."""
    if mistakes:
        found = sorted(mistakes, key=lambda one: (one.line, one.column))
        more = [f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
        count = "1 mistake" if len(found) == 1 else f"{len(found)} mistakes"
        raise Problem(f"{name}: {count}, {consequence}", detail="\n".join([*map(str, found[:_SHOWN]), *more]))


def read_sheet(source: str) -> Sheet:
    """Reads a file, or standard input for `-`. The first line names the columns, in any case.

    Raises:
        Problem: It cannot be read, is no CSV, or its header and rows do not fit together.
    """
    name = "standard input" if source == "-" else source
    text = _text(source, name)
    first, _, _ = text.partition("\n")
    separator = ";" if ";" in first and "," not in first else ","
    try:
        records = list(_records(text, separator))
    except csv.Error as error:
        raise Problem(f"{name} is no CSV: {error}") from None
    if not records:
        raise Problem(f"{name} is empty; its first line should name the columns")
    columns = [cell.strip().lower().replace(" ", "_") for cell in records[0][1]]
    if repeated := {each or "an empty name" for each in columns if columns.count(each) > 1}:
        raise Problem(f"{name}: the header has twice: {', '.join(sorted(repeated))}")
    demand_none(
        [
            Mistake(line, "", f"has {len(cells)} cells, the header has {len(columns)}")
            for line, cells in records[1:]
            if len(cells) != len(columns)
        ],
        name,
    )
    return Sheet(name, columns, [_row(line, columns, cells) for line, cells in records[1:]])


def _records(text: str, separator: str) -> Iterator[tuple[int, Sequence[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    line = 1
    for cells in reader:
        if any(cell.strip() for cell in cells):
            yield line, cells
        line = reader.line_num + 1


def _row(line: int, columns: Sequence[str], cells: Sequence[str]) -> Row:
    stripped = ((column, cell.strip()) for column, cell in zip(columns, cells, strict=True))
    return Row(line, {column: cell for column, cell in stripped if cell})


def _text(source: str, name: str) -> str:
    try:
        data = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
        return data.decode("utf-8-sig")
    except OSError as error:
        raise Problem(f"{name} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Problem(f"{name} is not UTF-8 text; in a spreadsheet save it as CSV UTF-8") from None
