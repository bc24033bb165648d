"""Events of the board on their way out, as the modules that consume them see it.

A module with `consume` is told every event of a tenant that has it connected: at least once, and those about one entry
one after the other, in their order.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from structlog.typing import FilteringBoundLogger

from server.sdk.accounts import AccountBook
from server.sdk.context import Deadline
from server.sdk.schedule.entries import Entry

C = TypeVar("C")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to an entry.

    Attributes:
        id: Id (UUID) of the event; the same at every try.
        type: `schedule_entry.created`, `schedule_entry.updated` or `schedule_entry.cancelled`.
        sequence: Its number among the events of the entry, from 1.
        at: When it happened.
        entry: The entry as it was then.
    """

    id: str
    type: str
    sequence: int
    at: datetime
    entry: Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """A person's calendar into which entries are written.

    Attributes:
        id: Our id (UUID) of the calendar.
        user_id: Whose it is.
        account_id: The person as the provider names them; of an event, whose calendar it was written into.
        calendar_id: The calendar at the provider. None: the person's default one.
    """

    id: str
    user_id: str
    account_id: str
    calendar_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarEvent:
    """An event in a calendar that stands for an entry.

    Attributes:
        calendar: Where it is.
        external_id: Its id at the provider. Empty: it was to be created, and nobody knows whether it was.
        sequence: The event of ours that it shows. 0: it is not yet as it should be.
    """

    calendar: Calendar
    external_id: str
    sequence: int


class CalendarBook(Protocol):
    """The calendars of one tenant at one provider."""

    async def entry(self, id: str) -> Entry | None:
        """Returns an entry as it is now, which may be later than an event tells; None when there is none any more."""

    async def connected(self, users: Collection[str]) -> Sequence[Calendar]:
        """Returns the calendars of users that are connected, active and of people with a linked account, by id."""

    async def events_of(self, entry_id: str) -> Sequence[CalendarEvent]:
        """Returns the events that stand for an entry, also in calendars that are not connected any more."""

    async def keep(self, entry_id: str, event: CalendarEvent) -> None:
        """Remembers an event; with a sequence also that its calendar can be written."""

    async def drop(self, entry_id: str, calendar: Calendar) -> None:
        """Forgets an event that was deleted."""

    async def refused(self, calendar: Calendar, message: str) -> None:
        """Notes why a calendar could not be written, for people; the next event that is kept removes the note."""


@dataclass(frozen=True, kw_only=True)
class ConsumerContext(Generic[C]):
    """One delivery as its consumer sees it. `client` is the module's vendor client, made by its `connect`."""

    client: C
    tenant: str
    attempt: int
    deadline: Deadline
    accounts: AccountBook
    calendars: Callable[[str], CalendarBook]
    """`calendars("microsoft")`."""
    log: FilteringBoundLogger


Consumer = Callable[..., Awaitable[None]]
"""`async def consume(event: Event, ctx: ConsumerContext[Client])`. Returns when the event has arrived. An ActionFailure
that is retryable, or of unknown effect, is tried again later; any other is a dead letter at once."""
