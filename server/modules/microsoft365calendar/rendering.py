"""An entry as the event that stands for it in a calendar."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from server.modules.microsoft365calendar.series import Series
from server.sdk.schedule import Entry, is_ended, zone_of

_SUBJECT: Final = 255


def rendered(entry: Entry, series: Series | None) -> Mapping[str, Any]:
    """Returns the event for an entry that has times. `series`: when it repeats.

    Whoever has the calendar is an assignee and sees everything; `private` hides it from others who may see the
    calendar. What has ended keeps its place and takes up no time. An entry that takes place once is told in UTC, which
    every calendar shows in its own zone.
    """
    start = series.start if series else entry.start
    assert start is not None  # noqa: S101 - the caller has looked
    zone = series.zone if series else "UTC"
    clock = zone_of(entry.timezone) if series else UTC
    return {
        "subject": entry.title[:_SUBJECT],
        "body": {"contentType": "text", "content": entry.notes or ""},
        "start": _told(start.astimezone(clock), zone),
        "end": _told((start + entry.duration).astimezone(clock), zone),
        "showAs": "free" if is_ended(entry.status) else "busy",
        "sensitivity": "private" if entry.is_private else "normal",
        "recurrence": series.recurrence if series else None,
    }


def _told(time: datetime, zone: str) -> dict[str, str]:
    return {"dateTime": time.replace(tzinfo=None).isoformat(timespec="seconds"), "timeZone": zone}
