"""What changes the board. Each handler runs in the transaction that also completes its execution."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

from server.gen.patchbay.modules.scheduling.v1 import scheduling_pb2 as pb
from server.modules.scheduling.booking import moved, place, spans, technicians
from server.modules.scheduling.reading import Context
from server.modules.scheduling.series import Part, part_of, rescheduled, split, store
from server.modules.scheduling.telling import conflict_messages, moment_of
from server.sdk import ActionFailure, FailureCategory, transactional
from server.sdk.schedule import Booking, Change, Entry, Recurrence, ScheduleBook, User, zone_of
from server.sdk.times import timestamp

_CANCELLED: Final = "cancelled"
_COMPLETED: Final = "completed"


@transactional
async def create_entry(request: pb.CreateEntryRequest, ctx: Context) -> pb.CreateEntryResponse:
    """Books technicians."""
    board = ctx.schedule
    users = await technicians(board, request.assigned_user_ids)
    await _demand_link(board, request)
    wanted = _draft(request, users)
    placed = await place(board, wanted, request.conflict_mode or "fail")
    entry = await board.add(placed.entry)
    overlapped = placed.conflicts if request.conflict_mode == "override" else ()
    await _note(board, entry, overlapped)
    return pb.CreateEntryResponse(
        entry_id=entry.id,
        assigned_user_ids=entry.assignees,
        start=timestamp(entry.start),
        end=timestamp(entry.end),
        work_item_id=entry.work_item_id,
        work_item_type=entry.work_item_type,
        status=entry.status,
        shifted=entry.start != wanted.start,
        conflicts=conflict_messages(overlapped),
    )


@transactional
async def reschedule(request: pb.RescheduleRequest, ctx: Context) -> pb.RescheduleResponse:
    """Moves an entry."""
    board, scope, mode = ctx.schedule, request.recurrence_scope or "single", request.conflict_mode or "fail"
    part = await part_of(board, request.entry_id, scope)
    await split(board, part)
    await board.users(part.entry.assignees, lock=True)
    placed = await place(board, _wanted(part, request.window), mode)
    entry = _with_notes(placed.entry, request.reason, request.note)
    id, event = await store(board, part, entry, "schedule_entry.updated")
    overlapped = placed.conflicts if mode == "override" else ()
    await _note(board, entry, overlapped)
    return pb.RescheduleResponse(
        entry_id=request.entry_id,
        updated_entry_id=id,
        previous_start=timestamp(part.shown),
        previous_end=timestamp(part.shown and part.shown + part.entry.duration),
        new_start=timestamp(entry.start),
        new_end=timestamp(entry.end),
        assigned_user_ids=entry.assignees,
        conflict_mode=mode,
        conflicts_detected=len(placed.conflicts),
        conflicts=conflict_messages(overlapped),
        recurrence_scope=scope,
        event_type=event,
    )


@transactional
async def reassign(request: pb.ReassignRequest, ctx: Context) -> pb.ReassignResponse:
    """Gives an entry to others."""
    board, mode = ctx.schedule, request.conflict_mode or "fail"
    part = await part_of(board, request.entry_id, request.recurrence_scope or "single")
    before = part.entry.assignees
    named = {user.id for user in await technicians(board, request.assigned_user_ids)}
    after = tuple(sorted(named.union(before) if request.mode == "add" else named))
    if after == before:
        return _nothing_to_do(request, part.rest.id if part.rest else part.entry.id, before)
    await split(board, part)
    entry = replace(part.entry, assignees=after)
    placed = await place(board, entry, mode, named.difference(before))
    entry = _with_notes(entry, request.reason, request.comment)
    id, event = await store(board, part, entry, "schedule_entry.updated")
    await _note(board, entry, placed.conflicts)
    return pb.ReassignResponse(
        entry_id=request.entry_id,
        updated_entry_id=id,
        previous_assigned_user_ids=before,
        assigned_user_ids=after,
        changed=True,
        conflicts=conflict_messages(placed.conflicts),
        event_type=event,
    )


@transactional
async def cancel(request: pb.CancelRequest, ctx: Context) -> pb.CancelResponse:
    """Cancels an entry."""
    id, event = await _end(ctx.schedule, request, _CANCELLED, "schedule_entry.cancelled", request.reason)
    return pb.CancelResponse(
        entry_id=request.entry_id, updated_entry_id=id, status=_CANCELLED, reason=request.reason, event_type=event
    )


@transactional
async def complete(request: pb.CompleteRequest, ctx: Context) -> pb.CompleteResponse:
    """Marks an entry as done."""
    id, event = await _end(ctx.schedule, request, _COMPLETED, "schedule_entry.updated", request.outcome)
    return pb.CompleteResponse(
        entry_id=request.entry_id,
        updated_entry_id=id,
        status=_COMPLETED,
        completed_at=timestamp(datetime.now(UTC)),
        outcome=request.outcome,
        event_type=event,
    )


async def _end(
    board: ScheduleBook, request: pb.CancelRequest | pb.CompleteRequest, status: str, change: Change, why: str
) -> tuple[str, str]:
    """Gives an entry its last status; returns its id and the event, which is empty when it has the status already."""
    part = await part_of(board, request.entry_id, request.recurrence_scope or "single", allow=status)
    if part.entry.status == status:
        return part.entry.id, ""
    await split(board, part)
    return await store(board, part, replace(_with_notes(part.entry, why, request.note), status=status), change)


async def _demand_link(board: ScheduleBook, request: pb.CreateEntryRequest) -> None:
    link = request.link
    if request.HasField("link") and not await board.has_work_item(link.type, link.id):
        raise ActionFailure(
            "WORK_ITEM_NOT_FOUND",
            f"There is no {link.type.replace('_', ' ')} {link.id}.",
            category=FailureCategory.FAILURE_CATEGORY_NOT_FOUND,
            field="link.id",
        )


def _draft(request: pb.CreateEntryRequest, users: Sequence[User]) -> Entry:
    """Returns the entry at the wanted time; a series begins with its first occurrence."""
    window, first = request.window, request.assigned_user_ids[0].lower()
    own_zone = next((user.timezone for user in users if user.id == first), None)
    entry = Entry(
        id=str(uuid4()),
        title=request.title.strip(),
        status=request.status or "scheduled",
        assignees=tuple(user.id for user in users),
        start=moment_of(window.start),
        end=moment_of(window.end),
        work_item_type=request.link.type or "ad_hoc",
        work_item_id=request.link.id.lower() or None,
        notes=request.notes or None,
        recurrence=_recurrence(request.recurrence) if request.HasField("recurrence") else None,
        is_private=request.is_private,
        timezone=_zone(window.timezone) or own_zone or "UTC",
    )
    begin = spans(entry)[0].start
    return entry if entry.start is None else moved(entry, begin - entry.start)


def _recurrence(asked: pb.Recurrence) -> Recurrence:
    return Recurrence(
        frequency=asked.frequency,
        interval=asked.interval or 1,
        days_of_week=tuple(sorted(asked.days_of_week)),
        day_of_month=asked.day_of_month or None,
        month_of_year=asked.month_of_year or None,
        until=moment_of(asked.until) if asked.HasField("until") else None,
        count=asked.count or None,
        workdays_only=asked.workdays_only,
    )


def _wanted(part: Part, window: pb.Window) -> Entry:
    zone = _zone(window.timezone)
    return rescheduled(part.entry, part.shown, moment_of(window.start), moment_of(window.end), zone)


def _zone(name: str) -> str:
    if name:
        try:
            zone_of(name)
        except ValueError as error:
            raise ActionFailure("TIME_ZONE_UNKNOWN", f"{error}.", field="window.timezone") from None
    return name


def _with_notes(entry: Entry, *texts: str) -> Entry:
    notes = "\n".join(text for text in (entry.notes, *texts) if text)
    return replace(entry, notes=notes or None)


async def _note(board: ScheduleBook, entry: Entry, conflicts: Sequence[Booking]) -> None:
    if conflicts:
        await board.note_conflicts(entry.id, {one.key.entry_id for one in conflicts})


def _nothing_to_do(request: pb.ReassignRequest, entry_id: str, assignees: Sequence[str]) -> pb.ReassignResponse:
    if not request.no_op_if_already_assigned:
        raise ActionFailure("ALREADY_ASSIGNED", "The entry has these assignees already.", field="assigned_user_ids")
    return pb.ReassignResponse(
        entry_id=request.entry_id,
        updated_entry_id=entry_id,
        previous_assigned_user_ids=assignees,
        assigned_user_ids=assignees,
    )
