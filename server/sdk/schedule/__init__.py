"""Entries of the dispatch board: what they are, when they take place, whom they keep busy."""

from server.sdk.schedule.book import Change, EntryFilter, ScheduleBook, User, WorkItem
from server.sdk.schedule.entries import BUSY, Entry, EntryKey, is_cancelled, is_ended
from server.sdk.schedule.recurrence import Recurrence, RecurrenceInvalid, zone_of
from server.sdk.schedule.slots import Booking, Span, bookings, first_free, overlaps, spans_of

__all__ = [
    "BUSY",
    "Booking",
    "Change",
    "Entry",
    "EntryFilter",
    "EntryKey",
    "Recurrence",
    "RecurrenceInvalid",
    "ScheduleBook",
    "Span",
    "User",
    "WorkItem",
    "bookings",
    "first_free",
    "is_cancelled",
    "is_ended",
    "overlaps",
    "spans_of",
    "zone_of",
]
