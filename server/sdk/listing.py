"""What a vendor told when it was asked for many things."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from server.sdk.paging import Row
from server.sdk.reading import text

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """Things of one kind.

    Attributes:
        items: What the vendor told.
        complete: These are all that it has; else it chose them by what was wanted, or told a part only.
        searched: It looked for the wanted text itself, perhaps in more than it tells.
    """

    items: Sequence[T]
    complete: bool = True
    searched: bool = False


def named(query: str) -> Callable[[Row], bool]:
    """Returns what lets rows pass whose `name` contains the text, in any case; an empty text lets all pass."""
    sought = query.casefold()
    return lambda row: sought in _name(row)


def by_name(rows: Iterable[Row], query: str, limit: int | None = None) -> list[Row]:
    """Returns the first rows, by name, whose `name` contains the text; equal names by id."""
    found = sorted(filter(named(query), rows), key=lambda row: (_name(row), text(row.get("id")) or ""))
    return found[:limit]


def _name(row: Row) -> str:
    return (text(row.get("name")) or "").casefold()
