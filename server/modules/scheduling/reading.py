"""Finding and searching entries."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Final

from server.gen.patchbay.modules.scheduling.v1 import scheduling_pb2 as pb
from server.modules.scheduling.series import key_of, occurrence
from server.modules.scheduling.telling import entry_message, moment_of
from server.sdk import ActionContext, ActionFailure
from server.sdk.schedule import Entry, EntryFilter, EntryKey, spans_of

Context = ActionContext[None]

_MOST_ROWS: Final = 1_000
_USUAL: Final = 25


async def find_entry(request: pb.FindEntryRequest, ctx: Context) -> pb.FindEntryResponse:
    """Reads one entry or occurrence."""
    key = key_of(request.entry_id)
    entry = await ctx.schedule.entry(key.entry_id) if key else None
    if key is not None and entry is not None and key.start is not None:
        entry = occurrence(entry, key.start)
    if key is None or entry is None:
        return pb.FindEntryResponse(found=False)
    viewer = ctx.actor.lower() if request.include_private_details else None
    shown = key if entry.recurrence is not None else EntryKey(entry.id)
    return pb.FindEntryResponse(found=True, entry=entry_message(entry, viewer, shown))


async def search_entries(request: pb.SearchEntriesRequest, ctx: Context) -> pb.SearchEntriesResponse:
    """Lists entries; those that repeat as their occurrences when the window has both ends."""
    _demand_criterion(request)
    window, limit, viewer = request.window, request.limit or _USUAL, ctx.actor.lower()
    start = moment_of(window.start) if window.HasField("start") else None
    end = moment_of(window.end) if window.HasField("end") else None
    expanded = start is not None and end is not None
    rows = await ctx.schedule.search(_filter(request, start, end, viewer, _MOST_ROWS if expanded else limit + 1))
    found = [(EntryKey(row.id), row) for row in rows]
    if start is not None and end is not None:
        found = sorted(_occurrences(rows, start, end), key=lambda one: (one[1].start or start, str(one[0])))
    shown = [entry_message(entry, viewer, key) for key, entry in found[:limit]]
    return pb.SearchEntriesResponse(entries=shown, count=len(shown), more=len(found) > limit or len(rows) == _MOST_ROWS)


def _demand_criterion(request: pb.SearchEntriesRequest) -> None:
    window = request.window
    named = (request.assigned_user_ids, request.status, request.query, request.HasField("work_item"))
    if not any(named) and not window.HasField("start") and not window.HasField("end"):
        raise ActionFailure("CRITERION_REQUIRED", "The search names no criterion.")


def _filter(
    request: pb.SearchEntriesRequest, start: datetime | None, end: datetime | None, viewer: str, limit: int
) -> EntryFilter:
    return EntryFilter(
        start=start,
        end=end,
        users=request.assigned_user_ids,
        work_item_type=request.work_item.type or None,
        work_item_id=request.work_item.id or None,
        statuses=request.status,
        query=request.query,
        viewer=viewer,
        limit=limit,
    )


def _occurrences(rows: Iterable[Entry], start: datetime, end: datetime) -> Iterator[tuple[EntryKey, Entry]]:
    for entry in rows:
        for key, span in spans_of(entry, start, end):
            yield key, replace(entry, start=span.start, end=span.end)
