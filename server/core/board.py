"""The dispatch board as callers ask for it: a page of technicians, each with their days."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from server.core.board_drawing import Bar, Cell, Day, Row, days_from, draw
from server.core.page_tokens import page_token, read_page_token
from server.core.ports import OpenBoard
from server.core.refusals import FieldViolation, Refusal
from server.gen.patchbay.v1 import dispatch_pb2 as pb
from server.sdk.schedule import Entry, User, zone_of
from server.sdk.times import timestamp

_PAGE: Final = 200
_FIRST, _LAST = date(1970, 1, 2), date(2999, 12, 31)
_MOST_BYTES: Final = 3 << 20
"""Of a page: clients of gRPC take 4 MiB unless they are told otherwise."""


class Technicians(Protocol):
    """Who is on the board when nobody in particular is asked for; see server/store/technicians.py."""

    async def active(self, tenant: str) -> Sequence[User]:
        """Returns the tenant's own people who are active and hold the role of a technician."""


@dataclass(frozen=True, slots=True)
class _Wish:
    """The days, by name and zone, and the place after which the page begins."""

    first: date
    zone: ZoneInfo
    after: tuple[str, str] | None


class Boards:
    """Boards of tenants."""

    def __init__(self, open_board: OpenBoard, technicians: Technicians) -> None:
        self._open = open_board
        self._technicians = technicians

    async def get(self, tenant: str, request: pb.GetBoardRequest) -> pb.GetBoardResponse:
        """Returns a page of the board.

        It has fewer technicians than asked for when it would get too large.

        Raises:
            Refusal: INPUT_INVALID for a day, zone, user or page token that is none.
        """
        wish = _wish(request)
        days = days_from(wish.first, request.days or 1, wish.zone)
        users = sorted(await self._users(tenant, request.user_ids), key=_place)
        coming = [user for user in users if wish.after is None or _place(user) > wish.after]
        page = coming[: request.page_size or _PAGE]
        board = self._open(tenant)
        entries = await board.booked([user.id for user in page], days[0].span.start, days[-1].span.end) if page else ()
        # Ten thousand bars take a while: other calls go on meanwhile.
        shown = await asyncio.to_thread(_drawn, page, entries, days, request)
        return pb.GetBoardResponse(
            first_day=wish.first.isoformat(),
            days=len(days),
            timezone=wish.zone.key,
            technicians=shown,
            next_page_token=page_token(*_place(coming[len(shown) - 1])) if len(shown) < len(coming) else "",
        )

    async def _users(self, tenant: str, ids: Collection[str]) -> Sequence[User]:
        if not ids:
            return await self._technicians.active(tenant)
        wanted = [id.lower() for id in ids]
        found = await self._open(tenant).users(wanted)
        unknown = [
            FieldViolation(f"user_ids[{at}]", "names no user of the tenant")
            for at, id in enumerate(wanted)
            if id not in found
        ]
        if unknown:
            raise Refusal("INPUT_INVALID", "The board was asked for users that do not exist.", violations=unknown)
        return list(found.values())


def _drawn(
    users: Sequence[User], entries: Sequence[Entry], days: Sequence[Day], request: pb.GetBoardRequest
) -> Sequence[pb.BoardTechnician]:
    rows = draw(users, entries, days, viewer=request.viewer_id.lower(), with_ended=request.include_ended)
    return _fitting([_technician(row) for row in rows])


def _place(user: User) -> tuple[str, str]:
    """By name without regard to case; the id decides between namesakes."""
    return user.name.casefold(), user.id


def _wish(request: pb.GetBoardRequest) -> _Wish:
    try:
        zone = zone_of(request.timezone)
    except ValueError as error:
        raise _invalid("timezone", str(error)) from None
    return _Wish(_first_day(request.first_day, zone), zone, read_page_token(request.page_token, _read_place))


def _first_day(text: str, zone: ZoneInfo) -> date:
    if not text:
        return datetime.now(zone).date()
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise _invalid("first_day", f"`{text}` is not a day of the calendar") from None
    if not _FIRST <= day <= _LAST:
        raise _invalid("first_day", f"must be from {_FIRST} to {_LAST}")
    return day


def _read_place(texts: Sequence[str]) -> tuple[str, str]:
    name, id = texts
    return name, id


def _invalid(field: str, message: str) -> Refusal:
    return Refusal("INPUT_INVALID", f"{field}: {message}", violations=[FieldViolation(field, message)])


def _fitting(technicians: Sequence[pb.BoardTechnician]) -> Sequence[pb.BoardTechnician]:
    """Returns as many as a message can hold, at least one."""
    size = 0
    for index, one in enumerate(technicians):
        size += one.ByteSize()
        if index and size > _MOST_BYTES:
            return technicians[:index]
    return technicians


def _technician(row: Row) -> pb.BoardTechnician:
    return pb.BoardTechnician(
        user_id=row.user.id,
        name=row.user.name,
        timezone=row.user.timezone or "",
        days=map(_day, row.cells),
    )


def _day(cell: Cell) -> pb.BoardDay:
    told = pb.BoardDay(
        day=cell.day.day.isoformat(),
        start=timestamp(cell.day.span.start),
        end=timestamp(cell.day.span.end),
        entries=map(_entry, cell.bars),
    )
    told.booked.FromTimedelta(cell.booked)
    return told


def _entry(bar: Bar) -> pb.BoardEntry:
    entry = bar.entry
    return pb.BoardEntry(
        entry_id=bar.name,
        title=entry.title,
        start=timestamp(bar.span.start),
        end=timestamp(bar.span.end),
        status=entry.status,
        work_item_type=entry.work_item_type,
        work_item_id=entry.work_item_id or "",
        conflicts_with=bar.conflicts,
        is_recurring=entry.recurrence is not None,
        is_private=entry.is_private,
        has_ended=bar.has_ended,
    )
