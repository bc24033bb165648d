"""Where a vendor's row has what we want to know, said as data: a name, several names, a path, or a function."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from server.sdk.paging import Row
from server.sdk.reading import flag, text

T = TypeVar("T")

Where = str | tuple[str, ...] | Callable[[Row], Any]
"""`"uid"`, `"os.name"` for what an object in the row has, `("displayName", "systemName")` for the first that says
something, or a function of the row."""


def unless(name: str) -> Callable[[Row], bool | None]:
    """Returns the opposite of what a row says under that name; None when that is no truth value."""

    def read(row: Row) -> bool | None:
        told = flag(row.get(name))
        return None if told is None else not told

    return read


def joined(rows: Iterable[Row], into: str, where: Where, known: Mapping[str | None, Any]) -> list[Row]:
    """Returns the rows with what is known of a text that they have there, such as an organization's name of its id."""
    key = read_from(where, text)
    return [{**row, into: known.get(key(row))} for row in rows]


def read_from(where: Where, convert: Callable[[Any], T | None]) -> Callable[[Row], T | None]:
    """Returns what reads rows there. None: the row has nothing there that can be converted."""
    if callable(where):
        return lambda row: convert(where(row))
    paths = [one.split(".") for one in ((where,) if isinstance(where, str) else where)]

    def read(row: Row) -> T | None:
        for path in paths:
            if (found := convert(_along(row, path))) is not None:
                return found
        return None

    return read


def _along(row: Row, path: list[str]) -> Any:
    found: Any = row
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found
