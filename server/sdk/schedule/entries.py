"""One entry of the dispatch board."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

from server.sdk.schedule.recurrence import Recurrence

BUSY: Final = "Busy"
"""What others see as the title of a private entry."""

_CANCELLED: Final = frozenset({"cancelled", "canceled", "cancel"})
_COMPLETED: Final = frozenset({"completed", "complete", "done"})
_NO_SHOW: Final = frozenset({"no_show", "no-show", "noshow", "no show"})
_ENDED: Final = _CANCELLED | _COMPLETED | _NO_SHOW
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def is_ended(status: str | None) -> bool:
    """Says whether entries of a status take up no time: cancelled, completed, nobody there."""
    return (status or "").strip().lower() in _ENDED


def is_cancelled(status: str | None) -> bool:
    """Says whether entries of a status do not take place."""
    return (status or "").strip().lower() in _CANCELLED


@dataclass(frozen=True, slots=True)
class EntryKey:
    """What names an entry, or one occurrence of a recurring one.

    Attributes:
        entry_id: Id (UUID) of the entry.
        start: Begin of the occurrence. None: the entry itself.
    """

    entry_id: str
    start: datetime | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads `<uuid>` or `<uuid>_<begin in ms since 1970>`.

        Raises:
            ValueError: The text is neither.
        """
        id, _, epoch = text.partition("_")
        try:
            return cls(id.lower(), _EPOCH + timedelta(milliseconds=int(epoch)) if epoch else None)
        except OverflowError as error:
            raise ValueError(text) from error

    def __str__(self) -> str:
        if self.start is None:
            return self.entry_id
        return f"{self.entry_id}_{(self.start - _EPOCH) // timedelta(milliseconds=1)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry. Times are in UTC; both or none are given.

    Attributes:
        id: Id (UUID).
        title: Title.
        status: Status.
        assignees: Ids of users, sorted.
        start, end: When; of a recurring entry its first occurrence. None: not planned yet.
        work_item_type: `ticket`, `project_task`, `ad_hoc` or another word of the board.
        work_item_id: Id of the work item. None: none.
        notes: Notes. None: none.
        recurrence: When it repeats. None: once.
        original_id: The recurring entry that it was taken out of. None: none.
        is_private: Whether only assignees see the details.
        timezone: IANA name; a recurring entry keeps its time of day in it. None: UTC.
        sequence: Number of the last event about it, from 1.
    """

    id: str
    title: str
    status: str
    assignees: tuple[str, ...]
    start: datetime | None
    end: datetime | None
    work_item_type: str = "ad_hoc"
    work_item_id: str | None = None
    notes: str | None = None
    recurrence: Recurrence | None = None
    original_id: str | None = None
    is_private: bool = False
    timezone: str | None = None
    sequence: int = 0

    @property
    def duration(self) -> timedelta:
        """How long it takes; zero without times."""
        return self.end - self.start if self.start and self.end else timedelta(0)

    def seen_by(self, user_id: str | None) -> "Entry":
        """Returns the entry as a user may see it. None: nobody in particular, who sees no private details."""
        if not self.is_private or user_id in self.assignees:
            return self
        return replace(self, title=BUSY, notes=None, work_item_type="ad_hoc", work_item_id=None)

    def to_json(self) -> dict[str, Any]:
        """Returns what events say of the entry, by the names of the scheduling actions."""
        return {
            "entry_id": self.id,
            "title": self.title,
            "status": self.status,
            "assigned_user_ids": list(self.assignees),
            "scheduled_start": self.start and self.start.isoformat(),
            "scheduled_end": self.end and self.end.isoformat(),
            "work_item_type": self.work_item_type,
            "work_item_id": self.work_item_id,
            "notes": self.notes,
            "recurrence_pattern": self.recurrence and self.start and self.recurrence.to_pattern(self.start),
            "original_entry_id": self.original_id,
            "is_private": self.is_private,
            "timezone": self.timezone,
        }
