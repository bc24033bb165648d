"""Who may be booked, and whether there is room."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from server.sdk import ActionFailure, FailureCategory
from server.sdk.schedule import (
    Booking,
    Entry,
    RecurrenceInvalid,
    ScheduleBook,
    Span,
    User,
    bookings,
    first_free,
    is_ended,
    overlaps,
    zone_of,
)

_FARTHEST: Final = timedelta(days=31)
_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class Placed:
    """An entry with the time that it gets, and the bookings that were in the way of the time it was to have."""

    entry: Entry
    conflicts: Sequence[Booking] = ()


async def technicians(book: ScheduleBook, ids: Sequence[str]) -> Sequence[User]:
    """Returns users in the order of their ids, each once; nobody else books them until the transaction ends.

    Raises:
        ActionFailure: USER_NOT_FOUND, USER_INACTIVE or NOT_A_TECHNICIAN, with the field of the first at fault.
    """
    wanted = [id.lower() for id in ids]
    found = await book.users(wanted, lock=True)
    for index, id in enumerate(wanted):
        _demand_technician(found.get(id), id, f"assigned_user_ids[{index}]")
    return [found[id] for id in sorted(set(wanted))]


async def place(book: ScheduleBook, entry: Entry, mode: str, users: Collection[str] | None = None) -> Placed:
    """Finds the time of an entry whose assignees are locked.

    Args:
        book: The board.
        entry: The entry at the wanted time.
        mode: `fail`, `shift` or `override`.
        users: The assignees who must be free. None: all.

    Raises:
        ActionFailure: CONFLICT naming the entries in the way, or NO_FREE_SLOT.
    """
    wanted = spans(entry)
    if not wanted or is_ended(entry.status):
        return Placed(entry)
    latest = wanted[0].start + _FARTHEST
    end = wanted[-1].end + (_FARTHEST if mode == "shift" else timedelta(0))
    busy = entry.assignees if users is None else users
    others = [one for one in await book.booked(busy, wanted[0].start, end) if one.id != entry.id]
    booked = bookings(others, busy, wanted[0].start, end)
    conflicts = overlaps(wanted, booked)
    if conflicts and mode == "fail":
        raise _conflict(conflicts)
    if conflicts and mode == "shift":
        entry = _shifted(entry, booked, latest)
    return Placed(entry, conflicts)


def spans(entry: Entry) -> list[Span]:
    """Returns when an entry takes place, each occurrence of it.

    Raises:
        ActionFailure: RECURRENCE_INVALID.
    """
    if entry.start is None or entry.end is None:
        return []
    if entry.recurrence is None:
        return [Span(entry.start, entry.end)]
    try:
        starts = entry.recurrence.checked(entry.start, entry.duration, zone_of(entry.timezone))
    except RecurrenceInvalid as invalid:
        raise ActionFailure("RECURRENCE_INVALID", f"The entry cannot repeat like that: {invalid}.") from None
    return [Span(start, start + entry.duration) for start in starts]


def moved(entry: Entry, by: timedelta) -> Entry:
    """Returns an entry at a later or earlier time."""
    if entry.start is None or entry.end is None:
        return entry
    return replace(entry, start=entry.start + by, end=entry.end + by)


def _demand_technician(user: User | None, id: str, field: str) -> None:
    if user is None:
        raise ActionFailure(
            "USER_NOT_FOUND",
            f"There is no user {id}.",
            category=FailureCategory.FAILURE_CATEGORY_NOT_FOUND,
            field=field,
        )
    if not user.is_active:
        raise ActionFailure("USER_INACTIVE", f"{user.name} ({id}) is inactive.", field=field)
    if not user.is_technician:
        raise ActionFailure("NOT_A_TECHNICIAN", f"{user.name} ({id}) is no technician.", field=field)


def _shifted(entry: Entry, booked: Sequence[Booking], latest: datetime) -> Entry:
    """Moves an entry to the first time that is free for all. A series is moved as a whole, within its day."""
    while True:
        wanted = spans(entry)
        by = first_free(wanted, booked, latest)
        if by is None or wanted[0].start != entry.start:
            raise ActionFailure(
                "NO_FREE_SLOT",
                f"No slot of this length is free for all assignees before {latest.isoformat()}.",
                category=FailureCategory.FAILURE_CATEGORY_CONFLICT,
            )
        if not by:
            return entry
        entry = moved(entry, by)


def _conflict(conflicts: Sequence[Booking]) -> ActionFailure:
    told = [
        f"user {one.user_id} from {one.span.start.isoformat()} to {one.span.end.isoformat()} by entry {one.key}"
        for one in conflicts[:_NAMED]
    ]
    more = f" and {len(conflicts) - _NAMED} more" if len(conflicts) > _NAMED else ""
    return ActionFailure(
        "CONFLICT",
        f"Booked already: {'; '.join(told)}{more}.",
        field="window",
        remedy="Choose another time or other assignees, or set `conflict_mode` to `shift` or `override`.",
    )
