"""The board of one tenant, as modules see it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from server.sdk.schedule.entries import Entry

Change = Literal["schedule_entry.created", "schedule_entry.updated", "schedule_entry.cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user of the directory.

    Attributes:
        id: Id (UUID).
        name: Name for people; the login name where there is no other.
        timezone: IANA name. None: not told.
        is_active: False when nothing new may be booked.
        is_technician: Whether they are one of the tenant's own people, with the role `technician`.
        email: E-mail address. None: none.
    """

    id: str
    name: str
    timezone: str | None
    is_active: bool
    is_technician: bool
    email: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkItem:
    """A ticket or a project task of the directory.

    Attributes:
        kind: `ticket` or `project_task`.
        id: Id (UUID).
        number: Number of a ticket, unique within the tenant; empty for a project task.
        title: Title.
        is_closed: Closed ones can still be linked.
    """

    kind: str
    id: str
    number: str
    title: str
    is_closed: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """What names it."""
        return self.kind, self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryFilter:
    """What entries are searched by; all criteria that are given must hold.

    Attributes:
        start, end: What takes place after and before; series that may have an occurrence there are included.
        users: Any of these assignees. Empty: anybody.
        work_item_type, work_item_id: What it is for. None: anything.
        statuses: Any of these, in any case. Empty: every one.
        query: Text in title or notes, in any case. Empty: any.
        viewer: User for whom private entries are searched by text; of others' only those without `query` are found.
        limit: Most entries.
    """

    start: datetime | None = None
    end: datetime | None = None
    users: Collection[str] = ()
    work_item_type: str | None = None
    work_item_id: str | None = None
    statuses: Collection[str] = ()
    query: str = ""
    viewer: str | None = None
    limit: int = 100


class ScheduleBook(Protocol):
    """Users, work items and entries of one tenant. What changes something needs a handler marked `transactional`."""

    async def users(self, ids: Collection[str], *, lock: bool = False) -> Mapping[str, User]:
        """Returns those users that exist. `lock`: nobody else books them until the transaction ends."""

    async def technicians(self, query: str, limit: int) -> Sequence[User]:
        """Returns who can be booked, by name; `query` is in name, login name or address, in any case."""

    async def work_items(self, query: str, limit: int, *, kind: str = "", closed: bool = False) -> Sequence[WorkItem]:
        """Returns tickets and project tasks by kind and title; `query` is in number or title, in any case.

        Args:
            query: Text, or empty.
            limit: Most work items.
            kind: Only this kind. Empty: both.
            closed: Also closed ones.
        """

    async def has_work_item(self, kind: str, id: str) -> bool:
        """Says whether a `ticket` or `project_task` exists."""

    async def entry(self, id: str, *, lock: bool = False) -> Entry | None:
        """Returns an entry. `lock`: nobody else changes it until the transaction ends."""

    async def booked(self, users: Collection[str], start: datetime, end: datetime) -> Sequence[Entry]:
        """Returns the entries that may keep users busy within a span: those in it, and series that touch it."""

    async def search(self, wanted: EntryFilter) -> Sequence[Entry]:
        """Returns entries by begin, those without a time last."""

    async def add(self, entry: Entry, change: Change = "schedule_entry.created") -> Entry:
        """Stores a new entry, with its event; returns it with its sequence."""

    async def change(self, entry: Entry, change: Change) -> Entry:
        """Stores what an entry is now, with its event; returns it with its sequence."""

    async def note_conflicts(self, entry_id: str, others: Collection[str]) -> None:
        """Notes that an entry overlaps others on purpose; each pair once."""
