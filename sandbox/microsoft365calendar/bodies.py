"""What Graph accepts as an event. Stricter than Graph is known to be: a property that we do not use is an error."""

import re
from datetime import datetime
from pathlib import Path
from typing import Any

from sandbox.control.wire import Refused
from sandbox.microsoft365calendar.wire import graph_error

ZONES = frozenset((Path(__file__).with_name("zones.txt")).read_text(encoding="utf-8").split())
"""Names beside those of Windows that the page on `dateTimeTimeZone` lists; of those of Windows only `UTC`."""

_KNOWN: dict[str, type] = {
    "subject": str,
    "body": dict,
    "start": dict,
    "end": dict,
    "showAs": str,
    "sensitivity": str,
    "recurrence": dict,
    "transactionId": str,
    "singleValueExtendedProperties": list,
}
_PATTERNS = {
    "daily": {"interval"},
    "weekly": {"interval", "daysOfWeek", "firstDayOfWeek"},
    "absoluteMonthly": {"interval", "dayOfMonth"},
    "absoluteYearly": {"interval", "dayOfMonth", "month"},
}
_RANGES = {"endDate": {"endDate"}, "noEnd": set(), "numbered": {"numberOfOccurrences"}}
_PROPERTY = re.compile(r"String \{[0-9a-f-]{36}\} Name \w+")


def bad(message: str, code: str = "ErrorInvalidRequest") -> Refused:
    """A 400; its words are not the vendor's."""
    return graph_error(400, code, message)


def checked(body: dict[str, Any], *, new: bool) -> dict[str, Any]:
    """The body of a new event, or of a change, without its annotations. Raises the 400."""
    body = _plain(body)
    for name, value in body.items():
        if name not in _KNOWN:
            raise bad(f"The property '{name}' does not exist on type 'microsoft.graph.event'.", "RequestBodyRead")
        if value is not None and not isinstance(value, _KNOWN[name]):
            raise bad(f"The property '{name}' has the wrong type.", "RequestBodyRead")
    if new and not {"subject", "start", "end"} <= set(body):
        raise bad("An event needs subject, start and end.", "ErrorPropertyValidationFailure")
    if not new and "transactionId" in body:
        raise bad("transactionId cannot be changed.", "ErrorPropertyValidationFailure")
    _check_words(body)
    _check_times(body)
    if body.get("recurrence") is not None:
        _check_recurrence(body["recurrence"], body.get("start"))
    for one in body.get("singleValueExtendedProperties", []):
        if not _PROPERTY.fullmatch(one.get("id", "")) or not isinstance(one.get("value"), str):
            raise bad("The extended property is not valid.", "ErrorInvalidPropertyId")
    return body


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items() if not name.startswith("@odata.")}
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _check_words(body: dict[str, Any]) -> None:
    if body.get("showAs", "busy") not in {"free", "tentative", "busy", "oof", "workingElsewhere", "unknown"}:
        raise bad("showAs is not valid.")
    if body.get("sensitivity", "normal") not in {"normal", "personal", "private", "confidential"}:
        raise bad("sensitivity is not valid.")
    if len(body.get("subject", "")) > 255 or body.get("body", {}).get("contentType", "text") not in {"text", "html"}:
        raise bad("subject or body is not valid.")


def _check_times(body: dict[str, Any]) -> None:
    for name in ("start", "end"):
        told = body.get(name)
        if told is None:
            continue
        if told.get("timeZone") not in ZONES:
            raise bad("A valid TimeZone value must be specified.", "TimeZoneNotSupportedException")
        try:
            wrong = datetime.fromisoformat(told["dateTime"]).tzinfo is not None
        except (KeyError, ValueError):
            wrong = True
        if wrong:
            raise bad(f"{name} is not valid.")
    if "start" in body and "end" in body and body["start"]["dateTime"] >= body["end"]["dateTime"]:
        raise bad("The event ends before it begins.", "ErrorCalendarEndDateIsEarlierThanStartDate")


def _check_recurrence(told: dict[str, Any], start: dict[str, Any] | None) -> None:
    pattern, span = told.get("pattern") or {}, told.get("range") or {}
    needed, ends = _PATTERNS.get(str(pattern.get("type"))), _RANGES.get(str(span.get("type")))
    if needed is None or set(pattern) != {"type", *needed} or not 1 <= pattern["interval"] <= 999:
        raise bad("The recurrence pattern is not valid.", "ErrorPropertyValidationFailure")
    if ends is None or set(span) != {"type", "startDate", "recurrenceTimeZone", *ends}:
        raise bad("The recurrence range is not valid.", "ErrorPropertyValidationFailure")
    if span["recurrenceTimeZone"] not in ZONES:
        raise bad("A valid TimeZone value must be specified.", "TimeZoneNotSupportedException")
    if start is None or not start["dateTime"].startswith(span["startDate"]):
        raise bad("The series does not begin with its event.", "ErrorPropertyValidationFailure")
