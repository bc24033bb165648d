"""Microsoft Graph: events in calendars.

Facts: Microsoft's v1.0 reference; what a repeated `transactionId` is answered as the module's client cites it.
"""

import re
from datetime import UTC, datetime
from typing import Any

from starlette.responses import JSONResponse, Response

from sandbox.microsoft365calendar.bodies import bad, checked
from sandbox.microsoft365calendar.models import Person, Stored
from sandbox.microsoft365calendar.occurrences import occurrences, zone_of
from sandbox.microsoft365calendar.wire import Call, graph_error

_FILTER = re.compile(
    r"singleValueExtendedProperties/any\(ep: ?ep/id eq '([^']+)' and ep/value eq '([^']*)'\)", re.IGNORECASE
)
_PAGE = 10


def answer(call: Call) -> Response:
    """Answers one request of a signed-in app."""
    if not call.world.accepts(call.bearer):
        raise graph_error(401, "InvalidAuthenticationToken", "Lifetime validation failed, the token is expired.")
    match call.method, call.parts[1:]:
        case "GET", ["v1.0", "users", name, "events"]:
            return _listed(call, _owner(call, name))
        case "POST", ["v1.0", "users", name, "calendar", "events"]:
            return _created(call, _owner(call, name), "")
        case "POST", ["v1.0", "users", name, "calendars", calendar, "events"]:
            return _created(call, _owner(call, name), calendar)
        case "GET", ["v1.0", "users", name, "events", id, "instances"]:
            return _instances(call, _event(call, _owner(call, name), id))
        case "PATCH" | "DELETE", ["v1.0", "users", name, "events", id]:
            return _at_event(call, _owner(call, name), id)
    raise graph_error(404, "ResourceNotFound", "Resource not found for the segment.")


def _owner(call: Call, name: str) -> Person:
    person = call.world.person(name)
    if person is None:
        raise graph_error(404, "ErrorInvalidUser", f"The requested user '{name}' is invalid.")
    if not call.world.settings.may_write:
        raise graph_error(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
    if person.mailbox == "blocked":
        words = "Access to OData is disabled: [RAOP] : Blocked by tenant configured AppOnly AccessPolicy settings."
        raise graph_error(403, "ErrorAccessDenied", words)
    if person.mailbox == "none":
        words = "The mailbox is either inactive, soft-deleted, or is hosted on-premise."
        raise graph_error(404, "MailboxNotEnabledForRESTAPI", words)
    return person


def _listed(call: Call, owner: Person) -> Response:
    wanted = _FILTER.fullmatch(call.query.get("$filter", ""))
    if wanted is None:
        raise bad("The filter is not supported.", "ErrorInvalidUrlQueryFilter")
    mine = [one for one in call.world.events.values() if one.owner == owner.id]
    return _page(call, [_told(one) for one in mine if one.marks.get(wanted[1]) == wanted[2]])


def _created(call: Call, owner: Person, calendar: str) -> Response:
    if calendar and calendar not in owner.calendars:
        raise graph_error(404, "ErrorItemNotFound", "The specified object was not found in the store.")
    body, world = checked(call.json(), new=True), call.world
    known = world.transactions.get((owner.id, body.get("transactionId", "")))
    if known is None:
        return JSONResponse(_told(world.add(owner, calendar, body)), 201)
    if known.posted == body and known.id in world.events:
        return JSONResponse(_told(known), 201)
    words = "The TransactionId specified in the request has already been used to create a different event."
    named = {"@event.existingEventId": known.id} if world.settings.tells_existing else {}
    message = f"Your request can't be completed. {words}"
    raise graph_error(world.settings.duplicate_status, "ErrorDuplicateTransactionId", message, **named)


def _event(call: Call, owner: Person, id: str) -> Stored:
    found = call.world.events.get(id)
    if found is None or found.owner != owner.id:
        raise graph_error(404, "ErrorItemNotFound", "The specified object was not found in the store.")
    return found


def _at_event(call: Call, owner: Person, id: str) -> Response:
    master, _, day = id.partition(".OID.")
    stored = _event(call, owner, master)
    if call.method == "PATCH":
        call.world.edit(stored, checked(call.json(), new=False))
        return JSONResponse(_told(stored))
    if not day:
        call.world.remove(stored)
    elif day in stored.cut:
        raise graph_error(404, "ErrorItemNotFound", "The specified object was not found in the store.")
    else:
        call.world.cut(stored, day)
    return Response(status_code=204)


def _instances(call: Call, stored: Stored) -> Response:
    try:
        since, until = (datetime.fromisoformat(call.query[name]) for name in ("startDateTime", "endDateTime"))
    except (KeyError, ValueError):
        raise bad("This request requires a time window.", "ErrorInvalidParameter") from None
    zone = zone_of(stored.content["start"]["timeZone"])
    found = [one for one in occurrences(stored.content, stored.cut) if since <= one <= until]
    return _page(call, [_instance(stored, one, one.astimezone(zone).date().isoformat()) for one in found])


def _instance(stored: Stored, start: datetime, day: str) -> dict[str, Any]:
    told = {"dateTime": start.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.0000000"), "timeZone": "UTC"}
    return {"id": f"{stored.id}.OID.{day}", "type": "occurrence", "seriesMasterId": stored.id, "start": told}


def _page(call: Call, rows: list[dict[str, Any]]) -> Response:
    begin, size = int(call.query.get("$skip", 0)), int(call.query.get("$top", _PAGE))
    body: dict[str, Any] = {"value": rows[begin : begin + size]}
    if begin + size < len(rows):
        query = call.raw_query.decode("latin-1").split("&$skip=")[0].split("&%24skip=")[0]
        body["@odata.nextLink"] = f"{call.base}/{'/'.join(call.parts)}?{query}&$skip={begin + size}"
    return JSONResponse(body)


def _told(stored: Stored) -> dict[str, Any]:
    kind = "singleInstance" if stored.content.get("recurrence") is None else "seriesMaster"
    transaction = stored.posted.get("transactionId")
    told = {"id": stored.id, "createdDateTime": stored.created, "type": kind, "transactionId": transaction}
    return {**told, **stored.content}
