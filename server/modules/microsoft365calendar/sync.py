"""What happens in calendars when something happens to an entry.

An event only says that an entry changed. What is written is the entry as it is now, so repeats, late ones and such that
were given up once can come at any time; and when the entry changes meanwhile, it is written again.
"""

from collections.abc import Awaitable, Mapping
from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid5

from server.modules.microsoft365calendar.graph import Graph, Taken
from server.modules.microsoft365calendar.rendering import rendered
from server.modules.microsoft365calendar.series import Series, series_of
from server.sdk import ActionFailure, Effect
from server.sdk.events import Calendar, CalendarBook, CalendarEvent, ConsumerContext, Event
from server.sdk.schedule import Entry, is_cancelled, zone_of

PROVIDER: Final = "microsoft"
_TRANSACTIONS: Final = UUID("6c0b9d6e-3f0c-4f0e-9b57-2a1d5d0c7e41")
_ROUNDS: Final = 3
_DAY: Final = timedelta(days=1)

Context = ConsumerContext[Graph]


async def consume(event: Event, ctx: Context) -> None:
    """Makes the calendars of all who have one connected show an entry as it is now.

    Raises:
        ActionFailure: Some calendar could not be written; the others have been. When several could not, one that may
            go better next time is told.
    """
    book = ctx.calendars(PROVIDER)
    entry = await book.entry(event.entry.id)
    for _ in range(_ROUNDS):
        await _Round(event, entry, ctx.client, book).run()
        before, entry = entry, await book.entry(event.entry.id)
        if entry == before:
            return


class _Round:
    """One entry, all calendars."""

    def __init__(self, event: Event, entry: Entry | None, graph: Graph, book: CalendarBook) -> None:
        self._event = event
        self._entry = entry
        self._series = series_of(entry, entry.recurrence) if entry and entry.recurrence else None
        self._graph = graph
        self._book = book
        self._failures: list[ActionFailure] = []

    async def run(self) -> None:
        events = await self._book.events_of(self._event.entry.id)
        known = {_place(one.calendar): one for one in events}
        wanted = {_place(one): one for one in await self._wanted()}
        blocked = set()
        for one in events:
            if _place(one.calendar) not in wanted and not await self._tried(one.calendar, self._remove(one)):
                blocked.add(one.calendar.id)  # its row still leads to the event that has to go
        for place, calendar in wanted.items():
            if calendar.id not in blocked:
                await self._tried(calendar, self._write(calendar, known.get(place)))
        if self._failures:
            raise max(self._failures, key=_may_go_better)

    async def _wanted(self) -> list[Calendar]:
        """Returns where the entry belongs: nowhere when it is cancelled or has no time. Who share a mailbox share an
        event."""
        entry = self._entry
        if entry is None or entry.start is None or is_cancelled(entry.status):
            return []
        if entry.recurrence is not None and self._series is None:
            return []
        return list({_place(one): one for one in reversed(await self._book.connected(entry.assignees))}.values())

    async def _tried(self, calendar: Calendar, work: Awaitable[None]) -> bool:
        try:
            await work
        except ActionFailure as failure:
            self._failures.append(failure)
            await self._book.refused(calendar, failure.failure.message)
            return False
        return True

    async def _remove(self, event: CalendarEvent) -> None:
        """Deletes an event. `isCancelled` is only for meetings with invited people, and cannot be written."""
        account, entry_id = event.calendar.account_id, self._event.entry.id
        try:
            known = event.external_id and await self._graph.delete(account, event.external_id)
            if not known and (found := await self._graph.find(account, entry_id)):
                await self._graph.delete(account, found)
        except ActionFailure as failure:
            if failure.failure.reason != "MAILBOX_NOT_FOUND":  # with the mailbox the event is gone, too
                raise
        await self._book.drop(entry_id, event.calendar)

    async def _write(self, calendar: Calendar, known: CalendarEvent | None) -> None:
        entry, series = self._entry, self._series
        assert entry is not None  # noqa: S101 - nothing is wanted without one
        if known is not None and known.sequence >= entry.sequence:
            return
        if known is None:  # if we end before we learn of the event, this says where it may be
            await self._book.keep(entry.id, CalendarEvent(calendar=calendar, external_id="", sequence=0))
        written = _Writing(self._graph, entry, rendered(entry, series), calendar, self._event.sequence)
        id = await written.anyhow(known.external_id if known else "")
        if series is not None and not series.is_exact:
            await self._book.keep(entry.id, CalendarEvent(calendar=calendar, external_id=id, sequence=0))
            await self._thin_out(calendar.account_id, id, entry, series)
        await self._book.keep(entry.id, CalendarEvent(calendar=calendar, external_id=id, sequence=entry.sequence))

    async def _thin_out(self, account: str, id: str, entry: Entry, series: Series) -> None:
        """Deletes the instances of a series on days on which the entry does not take place."""
        zone = zone_of(entry.timezone)
        for one in await self._graph.instances(account, id, series.start - _DAY, series.until + _DAY):
            day = one.start.astimezone(zone).date()
            if day not in series.days and day <= series.last:
                await self._graph.delete(account, one.id)


class _Writing:
    """One event in one calendar: changed, found again, or created, once whatever happens in between."""

    def __init__(self, graph: Graph, entry: Entry, body: Mapping[str, Any], calendar: Calendar, sequence: int) -> None:
        self._graph = graph
        self._entry = entry
        self._body = body
        self._calendar = calendar
        self._sequence = sequence

    async def anyhow(self, known: str) -> str:
        """Returns the id of the event. `known`: what it was when we last wrote it; empty: we do not know of one."""
        if known and await self._changed(known):
            return known
        return await self._found() or await self._created(known)

    async def _changed(self, id: str) -> bool:
        return await self._graph.change(self._calendar.account_id, id, self._body)

    async def _found(self) -> str | None:
        """Looks for an event that was created without our learning of it, or has been moved to another calendar."""
        found = await self._graph.find(self._calendar.account_id, self._entry.id)
        return found if found and await self._changed(found) else None

    async def _created(self, gone: str) -> str:
        """Creates an event. Each one that a person has deleted leads to another transaction, since Graph may remember
        the first."""
        for _ in range(_ROUNDS):
            transaction = uuid5(_TRANSACTIONS, f"{self._entry.id}/{_place(self._calendar)}/{self._sequence}/{gone}")
            try:
                return await self._graph.create(self._calendar, self._entry.id, self._body, str(transaction))
            except Taken as taken:
                last = taken
            if last.event_id and await self._changed(last.event_id):
                return last.event_id
            if found := await self._found():
                return found
            gone = last.event_id or str(transaction)
        raise last


def _place(calendar: Calendar) -> tuple[str, str]:
    return calendar.account_id, calendar.calendar_id or ""


def _may_go_better(failure: ActionFailure) -> bool:
    return failure.failure.retryable or failure.failure.effect == Effect.EFFECT_UNKNOWN
