"""Sheets of users and of work items, checked as a whole and sent in batches."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from patchbay_client import InvalidInput, Patchbay, PatchbayError
from patchbay_client.gen.patchbay import v1

from server.cli.output import Output
from server.cli.problems import Problem
from server.cli.sheets import Mistake, Row, Sheet, demand_none

BATCH: Final = 1000
"""Most rows of one call, by the contract."""

EMPTY: Final = "-"
"""A cell that takes a value away; an empty cell leaves it as it is."""

_PLACE = re.compile(r"\w+\[(\d+)\]\.(\w+)")
_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}

Read = Callable[[str], Any]
Send = Callable[[Patchbay, Sequence[Any], bool], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What the rows of a sheet are.

    Attributes:
        name: For people, in the plural.
        columns: What each column may hold; a reader raises ValueError.
        required: Columns without which no row makes sense.
        unique: Columns that no two rows may share; together where a tuple has several.
        make: Makes a message of the values of a row.
        send: Sends messages; the last argument says that they are to be checked only.
    """

    name: str
    columns: Mapping[str, Read]
    required: Sequence[str]
    unique: Sequence[tuple[str, ...]]
    make: Callable[[dict[str, Any]], Any] = field(repr=False)
    send: Send = field(repr=False)


def _uuid(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise ValueError(f"{text!r} is no UUID") from None


def _boolean(text: str) -> bool:
    if text.lower() not in _WORDS:
        raise ValueError(f"{text!r} is neither true nor false")
    return _WORDS[text.lower()]


def _emptied(text: str) -> str:
    return "" if text == EMPTY else text


def _roles(text: str) -> list[str]:
    return [] if text == EMPTY else [role.strip() for role in text.split(";") if role.strip()]


def _user(values: dict[str, Any]) -> v1.DirectoryUser:
    return v1.DirectoryUser(**values, set_roles="roles" in values)


USERS: Final = Kind(
    name="users",
    columns={
        "id": _uuid,
        "username": str,
        "email": _emptied,
        "first_name": _emptied,
        "last_name": _emptied,
        "user_type": str,
        "roles": _roles,
        "timezone": _emptied,
        "active": _boolean,
    },
    required=["id"],
    unique=[("id",), ("username",)],
    make=_user,
    send=lambda client, users, only: client.directory.upsert_users(users, validate_only=only),
)
WORK_ITEMS: Final = Kind(
    name="work items",
    columns={"type": str, "id": _uuid, "number": str, "title": str, "closed": _boolean},
    required=["type", "id", "title"],
    unique=[("type", "id"), ("number",)],
    make=lambda values: v1.DirectoryWorkItem(**values),
    send=lambda client, items, only: client.directory.upsert_work_items(items, validate_only=only),
)


def kind_of(sheet: Sheet) -> Kind:
    """Returns what the rows of a sheet are; raises Problem when its columns are those of nothing."""
    kind = WORK_ITEMS if {"type", "title"} & set(sheet.columns) else USERS
    unknown = [column or "(empty)" for column in sheet.columns if column not in kind.columns]
    missing = [column for column in kind.required if column not in sheet.columns]
    if unknown or missing:
        told = [f"has no column {', '.join(missing)}"] if missing else []
        told += [f"has unknown columns {', '.join(unknown)}"] if unknown else []
        raise Problem(f"{sheet.name} {' and '.join(told)}; {kind.name} have: {', '.join(kind.columns)}")
    return kind


def messages_of(sheet: Sheet, kind: Kind) -> Sequence[Any]:
    """Returns a message for each row; raises Problem with the line and column of each mistake."""
    mistakes: list[Mistake] = []
    rows = [_values(row, kind, mistakes) for row in sheet.rows]
    for columns in kind.unique:
        first: dict[tuple[Any, ...], int] = {}
        for row, values in zip(sheet.rows, rows, strict=True):
            key = tuple(values.get(column) for column in columns)
            if None not in key and first.setdefault(key, row.line) != row.line:
                mistakes.append(Mistake(row.line, columns[-1], f"stands on line {first[key]} already"))
    demand_none(mistakes, sheet.name)
    return [kind.make(values) for values in rows]


def import_messages(
    client: Patchbay, output: Output, sheet: Sheet, kind: Kind, messages: Sequence[Any]
) -> tuple[int, int]:
    """Sends messages, after all of them were checked when they are too many for one call.

    Returns:
        How many are new, how many were there already.

    Raises:
        Problem: The server refuses some; nothing was changed.
    """
    starts = range(0, len(messages), BATCH)
    if len(starts) > 1:
        _check(client, sheet, kind, messages, starts)
    created = 0
    for start in starts:
        batch = messages[start : start + BATCH]
        stored = f"lines up to {sheet.rows[start - 1].line} are imported, the rest is not" if start else ""
        try:
            created += kind.send(client, batch, False).created
        except PatchbayError as error:
            if isinstance(error, InvalidInput):
                demand_none(_mistakes(error, sheet, start), sheet.name, stored or "nothing was imported")
            if stored:
                output.notice(f"{stored}; the same import again completes it", imported=start)
            raise
    return created, len(messages) - created


def _check(client: Patchbay, sheet: Sheet, kind: Kind, messages: Sequence[Any], starts: Sequence[int]) -> None:
    mistakes: list[Mistake] = []
    for start in starts:
        try:
            kind.send(client, messages[start : start + BATCH], True)
        except InvalidInput as error:
            found = _mistakes(error, sheet, start)
            if not found:
                raise
            mistakes += found
    demand_none(mistakes, sheet.name)


def _values(row: Row, kind: Kind, mistakes: list[Mistake]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    mistakes += [Mistake(row.line, column, "is empty") for column in kind.required if column not in row.cells]
    for column, cell in row.cells.items():
        try:
            values[column] = kind.columns[column](cell)
        except ValueError as error:
            mistakes.append(Mistake(row.line, column, str(error)))
    return values


def _mistakes(error: InvalidInput, sheet: Sheet, start: int) -> list[Mistake]:
    """Returns the places of what the server refuses; none when it is not about rows."""
    places = [(_PLACE.match(each.field), each.message) for each in error.violations]
    if not all(place for place, _ in places):
        return []
    return [Mistake(sheet.rows[start + int(place[1])].line, place[2], message) for place, message in places if place]
