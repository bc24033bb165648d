"""The endpoints of Microsoft Graph for events in people's calendars.

Facts, of Microsoft's v1.0 reference unless told otherwise:

- `transactionId` keeps a repeated POST from creating a second event; it cannot be changed later. A repeat of the same
  content is answered 201 with the event that exists (blog.rykoma.net/2020/10/05/1559). Other content under the same id
  is refused with code `ErrorDuplicateTransactionId`, whose error object names the event as `@event.existingEventId`;
  two public programs that met it say status 400, others expect 409, so the status does not matter here.
- How long Graph remembers a `transactionId` is not published. An event therefore also carries the entry's id in an
  extended property, by which it is looked for before one is created.
- Ids of events change when an event is moved, so one that a person has deleted answers 404. With immutable ids it would
  still be found in the deleted items; they are not asked for.
- 403 `ErrorAccessDenied` is also what an application access policy answers, with `[RAOP]` in its words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final
from urllib.parse import quote

from server.gen.patchbay.modules.microsoft365calendar.v1.microsoft365calendar_pb2 import Microsoft365CalendarConnection
from server.modules.microsoft365calendar.connection import graph_tokens, instance_url
from server.sdk import ActionFailure, ConnectionScope, FailureCategory
from server.sdk.events import Calendar
from server.sdk.http import HttpClient, HttpResponse
from server.sdk.paging import Row, walked
from server.sdk.reading import an_object, moment, objects, text

_PROPERTY: Final = "String {6c0b9d6e-3f0c-4f0e-9b57-2a1d5d0c7e41} Name PatchbayScheduleEntry"
_DUPLICATE: Final = "ErrorDuplicateTransactionId"
_ZONE: Final = "TimeZoneNotSupportedException"
# A person, or the mailbox of one, that Graph does not have.
_NO_MAILBOX: Final = frozenset(
    {
        "MailboxNotEnabledForRESTAPI",
        "MailboxNotSupportedForRESTAPI",
        "ErrorInvalidUser",
        "ErrorNonExistentMailbox",
        "ResourceNotFound",
        "Request_ResourceNotFound",
    }
)
_PAGE: Final = 200
_MOST_INSTANCES: Final = 4_000


@dataclass(frozen=True, slots=True)
class Instance:
    """One occurrence of a series."""

    id: str
    start: datetime


class Taken(ActionFailure):
    """The `transactionId` was used for other content. `event_id`: of that event; None when Graph does not tell."""

    def __init__(self, event_id: str | None) -> None:
        super().__init__("CONFLICT", "Microsoft 365 has an event of that transaction already.", retryable=True)
        self.event_id = event_id


class Graph:
    """Calendars of one Microsoft tenant.

    Args:
        scope: The connection; sends nothing yet.
    """

    instance_url = staticmethod(instance_url)

    def __init__(self, scope: ConnectionScope[Microsoft365CalendarConnection]) -> None:
        base = f"{instance_url(scope.settings)}/v1.0/users"
        self._tokens = graph_tokens(scope)
        self._http = scope.http.bind(base_url=base, read_error=_read_error)

    async def check(self) -> None:
        """Proves the credentials by obtaining a token; which mailboxes it opens shows with the first entry."""
        await self._tokens.bearer()

    async def find(self, account: str, entry_id: str) -> str | None:
        """Returns the id of the oldest event of a mailbox that carries an entry's id; None when there is none.

        A person who copies the event copies what it carries, so there may be more than one.
        """
        wanted = f"singleValueExtendedProperties/Any(ep: ep/id eq '{_PROPERTY}' and ep/value eq '{entry_id}')"
        params = {"$filter": wanted, "$select": "id,createdDateTime", "$top": 50}
        rows = objects(await self._send("GET", f"{_mailbox(account)}/events", params=params), "value")
        found = sorted((text(row.get("createdDateTime")) or "", id) for row in rows if (id := text(row.get("id"))))
        return found[0][1] if found else None

    async def create(self, calendar: Calendar, entry_id: str, event: Mapping[str, Any], transaction: str) -> str:
        """Creates an event and returns its id; once, however often it is asked for under one transaction.

        Raises:
            Taken: The transaction was used for other content.
        """
        mark = {"transactionId": transaction, "singleValueExtendedProperties": [{"id": _PROPERTY, "value": entry_id}]}
        try:
            response = await self._send("POST", f"{_calendar(calendar)}/events", json={**event, **mark})
        except ActionFailure as failure:
            raise (_calendar_gone() if failure.failure.reason == "NOT_FOUND" else failure) from None
        if (id := text(an_object(response).get("id"))) is None:
            raise response.invalid("Microsoft Graph answered with an event without an id.")
        return id

    async def change(self, account: str, id: str, event: Mapping[str, Any]) -> bool:
        """Changes an event; False when there is none with that id any more."""
        return await self._at_event("PATCH", account, id, json=event)

    async def delete(self, account: str, id: str) -> bool:
        """Deletes an event or one instance of a series; False when it was gone."""
        return await self._at_event("DELETE", account, id)

    async def instances(self, account: str, id: str, start: datetime, end: datetime) -> Sequence[Instance]:
        """Returns the occurrences of a series within a span."""
        path = f"{_event(account, id)}/instances"
        params = {"startDateTime": _utc(start), "endDateTime": _utc(end), "$select": "id,start", "$top": _PAGE}
        rows = await walked(partial(self._page, path, params), _MOST_INSTANCES)
        found = [(text(row.get("id")), moment((row.get("start") or {}).get("dateTime"))) for row in rows]
        return [Instance(id, start) for id, start in found if id and start]

    async def _page(self, path: str, params: Mapping[str, Any], cursor: str | None) -> tuple[list[Row], str | None]:
        response = await (self._send("GET", cursor) if cursor else self._send("GET", path, params=params))
        return list(objects(response, "value")), text(an_object(response).get("@odata.nextLink"))

    async def _at_event(self, method: str, account: str, id: str, **more: Any) -> bool:
        try:
            await self._send(method, _event(account, id), **more)
        except ActionFailure as failure:
            if failure.failure.reason != "NOT_FOUND":
                raise
            return False
        return True

    async def _send(self, method: str, path: str, **more: Any) -> HttpResponse:
        http: HttpClient = self._http
        return await self._tokens.send(http, method, path, **more)


def _mailbox(account: str) -> str:
    return f"/{quote(account, '')}"


def _calendar(calendar: Calendar) -> str:
    """Without an id the default calendar is meant, which everybody has."""
    named = f"calendars/{quote(calendar.calendar_id, '')}" if calendar.calendar_id else "calendar"
    return f"{_mailbox(calendar.account_id)}/{named}"


def _event(account: str, id: str) -> str:
    return f"{_mailbox(account)}/events/{quote(id, '')}"


def _utc(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _read_error(response: HttpResponse) -> ActionFailure | None:
    """Reads Graph's codes, where the status alone does not say what a person has to do."""
    body = response.json()
    error = body.get("error") if isinstance(body, dict) else None
    error = error if isinstance(error, dict) else {}
    code = error.get("code")
    if code == _DUPLICATE:
        return Taken(text(error.get("@event.existingEventId")))
    if response.status == 404 and code in _NO_MAILBOX:
        remedy = "Give the person an Exchange Online licence, link the right account, or disconnect the calendar."
        return _refusal("MAILBOX_NOT_FOUND", "The linked person has no mailbox in Microsoft 365.", remedy)
    if response.status == 403:
        remedy = "Grant the app `Calendars.ReadWrite`, or let its access policy include the mailbox; docs/calendar.md."
        message = "Microsoft 365 does not let the app write the person's calendar."
        return ActionFailure("VENDOR_PERMISSION_DENIED", message, remedy=remedy)
    if response.status == 400 and code == _ZONE:
        remedy = "Give the entry the time zone of a larger city with the same clock."
        return _refusal("TIME_ZONE_REFUSED", "Microsoft 365 does not know the entry's time zone.", remedy)
    return None


def _calendar_gone() -> ActionFailure:
    remedy = "Connect another calendar of the person, or the default one."
    return _refusal("CALENDAR_NOT_FOUND", "The person's calendar does not exist in Microsoft 365.", remedy)


def _refusal(reason: str, message: str, remedy: str) -> ActionFailure:
    return ActionFailure(reason, message, remedy=remedy, category=FailureCategory.FAILURE_CATEGORY_INVALID)
