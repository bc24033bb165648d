"""What a vendor told when it was asked for many things."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from server.sdk.paging import Row
from server.sdk.reading import filled, text
from server.sdk.rows import Where, read_from

M = TypeVar("M", bound=Message)
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


def listed(kind: type[M], items: Iterable[Row | Message], **where: Where) -> M:
    """Returns a response whose only list of messages holds these, and whose `count`, if it has one, says how many.

    Args:
        kind: The response.
        items: Its messages, or rows of the vendor that fill them.
        **where: Where rows have what a field of the messages tells, unless under its own name: `update_id="id"`.
    """
    many: Any
    (many,) = [field for field in kind.DESCRIPTOR.fields if field.is_repeated and field.message_type]
    one = GetMessageClass(many.message_type)
    ways = {name: read_from(way, lambda value: value) for name, way in where.items()}
    told = [
        item if isinstance(item, Message) else filled(one, item, **{name: read(item) for name, read in ways.items()})
        for item in items
    ]
    count = {"count": len(told)} if "count" in kind.DESCRIPTOR.fields_by_name else {}
    return kind(**{many.name: told, **count})


def filters_in(request: Message) -> dict[str, Any]:
    """Returns the fields of a request that are set, without `limit`: parameters for vendors that call them alike."""
    return {field.name: value for field, value in request.ListFields() if field.name != "limit"}


def _name(row: Row) -> str:
    return (text(row.get("name")) or "").casefold()
