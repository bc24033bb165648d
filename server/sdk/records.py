"""How a message of a module, a record of ours (a device, an alert) and a row of a vendor relate: said once."""

from collections.abc import Callable, Iterable, Mapping
from copy import copy
from dataclasses import Field, asdict, fields
from datetime import datetime
from typing import Any, Final, Generic, Self, TypeVar, get_args

from google.protobuf.message import Message

from server.sdk.alert_book import ACTIVE, RESOLVED, Alert
from server.sdk.inventory import Device
from server.sdk.paging import Row
from server.sdk.reading import filled, flag, moment, text
from server.sdk.rows import Where, read_from

M = TypeVar("M", bound=Message)
R = TypeVar("R", Device, Alert)

LOCAL: Final = "local"

_OURS: Final = {Device: {"asset_id", "source"}, Alert: {"alert_id", "asset_id", "source", "status"}}
_STATES: Final[Mapping[str, Mapping[bool, str]]] = {
    "online": {True: "online", False: "offline"},
    "over": {True: RESOLVED, False: ACTIVE},
}


class Records(Generic[M, R]):
    """What a module tells of devices or alerts, and where its vendor tells it.

    A field of `kind` has the attribute of its name, which is one of `record`, `online` or `over`, `source`, which is
    `local` or the provider, or else a detail. It is read from the row under its own name, in snake_case or camelCase;
    the id from `id`, too. What is no value of its type is absent.

    What only we know, the ids of book and inventory and the status of an alert, is never read from a row.

    Args:
        kind: The module's message.
        record: Our own kind of record.
        provider: The provider.
        renamed: Attributes by the field that has another name: `hostname="name"`.

    Raises:
        ValueError: There is no such field, no such attribute, or no field has the id.
    """

    def __init__(self, kind: type[M], record: type[R], provider: str, renamed: Mapping[str, str]) -> None:
        self._kind = kind
        self._record: type[R] = record
        self._provider = provider
        self._renamed = renamed
        self._own = {field.name: field for field in fields(record)}
        self._id = next(iter(self._own))
        self._demand(renamed.keys(), kind.DESCRIPTOR.fields_by_name, kind.DESCRIPTOR.full_name)
        self._demand(renamed.values(), {*self._own, *_STATES}, record.__name__)
        self._plan({})
        self._demand([self._id], self._attributes, kind.DESCRIPTOR.full_name)

    def where(self, **ways: Where) -> Self:
        """Returns the same for a vendor whose rows have some fields elsewhere: `os_name="os.name"`.

        Raises:
            ValueError: The message has no such field.
        """
        self._demand(ways, self._kind.DESCRIPTOR.fields_by_name, self._kind.DESCRIPTOR.full_name)
        other = copy(self)
        other._plan(ways)
        return other

    @staticmethod
    def _demand(names: Iterable[str], known: Iterable[str], owner: str) -> None:
        if unknown := sorted(set(names) - set(known)):
            raise ValueError(f"{owner} has no {', '.join(unknown)}")

    def _plan(self, ways: Mapping[str, Where]) -> None:
        self._attributes: dict[str, Callable[[Row], Any]] = {}
        self._details: dict[str, Callable[[Row], Any]] = {}
        for field in self._kind.DESCRIPTOR.fields:
            attribute = self._renamed.get(field.name, field.name)
            alike = (field.name, field.json_name, "id") if attribute == self._id else (field.name, field.json_name)
            way = ways.get(field.name, alike)
            if attribute in _STATES:
                self._attributes.setdefault("status", read_from(way, _word(_STATES[attribute])))
            elif attribute in self._own and attribute not in _OURS[self._record]:
                self._attributes[attribute] = read_from(way, _converter(self._own[attribute]))
            elif attribute not in _OURS[self._record]:
                self._details[field.name] = read_from(way, lambda value: value)

    def of(self, row: Row, id: str = "") -> R:
        """Returns the record of a row. `id` is what was asked for, else the row's own id counts."""
        told = {name: value for name, read in self._attributes.items() if (value := read(row)) is not None}
        details = {name: read(row) for name, read in self._details.items()}
        record: R = self._record(**{**told, self._id: id or told.get(self._id, ""), "details": details})
        return record

    def each(self, rows: Iterable[Row]) -> list[R]:
        """Returns the records of rows; those without an id are left out."""
        read_id = self._attributes[self._id]
        return [self.of(row) for row in rows if read_id(row)]

    def told(self, record: R, source: str = "") -> M:
        """Returns the message for a record. `source` is the provider when it is not given."""
        known: dict[str, Any] = {**record.details, **asdict(record), "source": source or self._provider}
        known |= {"online": record.online} if isinstance(record, Device) else {"over": record.over}
        return filled(self._kind, known, **{field: known[name] for field, name in self._renamed.items()})


def _converter(field: Field[Any]) -> Callable[[Any], Any]:
    return moment if datetime in get_args(field.type) else text


def _word(words: Mapping[bool, str]) -> Callable[[Any], str | None]:
    def read(value: Any) -> str | None:
        told = flag(value)
        return None if told is None else words[told]

    return read
