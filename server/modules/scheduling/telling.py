"""Entries and bookings in the words of the contract."""

from collections.abc import Iterable
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from server.gen.patchbay.modules.scheduling.v1 import scheduling_pb2 as pb
from server.sdk.schedule import Booking, Entry, EntryKey
from server.sdk.times import timestamp

_MOST_CONFLICTS = 100


def moment_of(stamp: Timestamp) -> datetime:
    """Returns a time of a message, in UTC, to the microsecond."""
    return stamp.ToDatetime(tzinfo=UTC)


def entry_message(entry: Entry, viewer: str | None, key: EntryKey | None = None) -> pb.Entry:
    """Returns an entry as a user may see it. `key`: of the occurrence that it is."""
    seen = entry.seen_by(viewer)
    occurrence = key is not None and key.start is not None
    return pb.Entry(
        entry_id=str(key or entry.id),
        original_entry_id=entry.id if occurrence else entry.original_id,
        title=seen.title,
        notes=seen.notes,
        status=seen.status,
        scheduled_start=timestamp(seen.start),
        scheduled_end=timestamp(seen.end),
        work_item_id=seen.work_item_id,
        work_item_type=seen.work_item_type,
        is_private=seen.is_private,
        is_recurring=seen.recurrence is not None,
        assigned_user_ids=seen.assignees,
        timezone=seen.timezone,
    )


def conflict_messages(conflicts: Iterable[Booking]) -> list[pb.Conflict]:
    """Returns the first of the bookings in the way."""
    return [
        pb.Conflict(
            entry_id=str(one.key), user_id=one.user_id, start=timestamp(one.span.start), end=timestamp(one.span.end)
        )
        for one, _ in zip(conflicts, range(_MOST_CONFLICTS), strict=False)
    ]
