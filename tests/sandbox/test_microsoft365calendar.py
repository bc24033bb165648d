"""The simulated calendars of Microsoft 365: tokens, events, transactions, series."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from sandbox.client import SandboxControl, SandboxRefused
from sandbox.microsoft365calendar import create_app
from sandbox.serving import SandboxServer
from tests.support.web import fetch

DANA, LEE, SAM, KIM, BOSS = (f"7d9f3b54-3333-4444-8555-66667777888{number}" for number in range(1, 6))
MARK = "String {6c0b9d6e-3f0c-4f0e-9b57-2a1d5d0c7e41} Name Test"
NINE = {"dateTime": "2027-03-01T09:00:00", "timeZone": "Europe/Berlin"}
TEN = {"dateTime": "2027-03-01T10:00:00", "timeZone": "Europe/Berlin"}


class Caller:
    """Blocking requests, with a token where one was granted."""

    def __init__(self, server: SandboxServer) -> None:
        self.control = SandboxControl(server.url)
        self.known = self.control.credentials()
        self.url = server.url
        self.token = self.sign_in()[1].get("access_token", "")

    def sign_in(self, **changes: str) -> tuple[int, dict[str, Any]]:
        """Asks for a token."""
        form = {
            "grant_type": "client_credentials",
            "client_id": self.known["app_id"],
            "client_secret": self.known["client_secret"],
            "scope": "https://graph.microsoft.com/.default",
            **changes,
        }
        return self._send("POST", f"/login/{self.known['tenant_id']}/oauth2/v2.0/token", urlencode(form), {})

    def graph(self, method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        """Asks Graph."""
        headers = {"Authorization": f"Bearer {self.token}"}
        return self._send(method, f"/graph/v1.0/users/{path}", body, headers)

    def code(self, method: str, path: str, body: Any = None) -> tuple[int, str]:
        """Status and code of a refusal."""
        status, answer = self.graph(method, path, body)
        return status, answer["error"]["code"]

    def _send(self, method: str, path: str, body: Any, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
        answer = fetch(self.url, method, path, body, headers)
        return answer.status, answer.json() if answer.body else {}


@pytest.fixture
def calendars() -> Iterator[Caller]:
    """The demo world, signed in."""
    with SandboxServer(create_app()) as running:
        yield Caller(running)


def event(**changes: Any) -> dict[str, Any]:
    """An hour on a Monday."""
    marks = [{"id": MARK, "value": "e-1"}]
    return {"subject": "Visit", "start": NINE, "end": TEN, "singleValueExtendedProperties": marks, **changes}


def found(value: str = "e-1") -> str:
    """Path of the look-up by mark."""
    wanted = f"singleValueExtendedProperties/Any(ep: ep/id eq '{MARK}' and ep/value eq '{value}')"
    return f"{DANA}/events?{urlencode({'$filter': wanted}, quote_via=quote)}"


def weekly(**ends: Any) -> dict[str, Any]:
    """A recurrence on Mondays."""
    pattern = {"type": "weekly", "interval": 1, "daysOfWeek": ["monday"], "firstDayOfWeek": "monday"}
    return {"pattern": pattern, "range": {"startDate": "2027-03-01", "recurrenceTimeZone": "Europe/Berlin", **ends}}


@pytest.mark.parametrize(
    ("changes", "number"),
    [
        ({"client_secret": "x"}, 7000215),
        ({"client_id": "x"}, 700016),
        ({"scope": "x"}, 70011),
        ({"grant_type": "password"}, 70003),
    ],
)
def test_sign_ins_are_refused_as_microsoft_does(calendars: Caller, changes: dict[str, str], number: int) -> None:
    """By AADSTS number."""
    status, answer = calendars.sign_in(**changes)
    assert status in {400, 401}
    assert (answer["error_codes"], answer["error_description"][: len(f"AADSTS{number}")]) == (
        [number],
        f"AADSTS{number}",
    )


@pytest.mark.parametrize(
    ("who", "refusal"),
    [
        (KIM, (404, "MailboxNotEnabledForRESTAPI")),
        (BOSS, (403, "ErrorAccessDenied")),
        ("nobody@example.com", (404, "ErrorInvalidUser")),
    ],
)
def test_mailboxes_out_of_reach(calendars: Caller, who: str, refusal: tuple[int, str]) -> None:
    """No licence, a policy, nobody of that name."""
    assert calendars.code("POST", f"{who}/calendar/events", event()) == refusal


def test_a_request_without_a_token_is_refused(calendars: Caller) -> None:
    """Tokens end when the world says so."""
    calendars.control.patch_state(expire_tokens=True)
    assert calendars.code("GET", found()) == (401, "InvalidAuthenticationToken")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"attendees": []}, "RequestBodyRead"),
        ({"subject": 1}, "RequestBodyRead"),
        ({"start": {**NINE, "timeZone": "Europe/Vienna"}}, "TimeZoneNotSupportedException"),
        ({"start": {**NINE, "dateTime": "tomorrow"}}, "ErrorInvalidRequest"),
        ({"end": NINE}, "ErrorCalendarEndDateIsEarlierThanStartDate"),
        ({"showAs": "asleep"}, "ErrorInvalidRequest"),
        ({"recurrence": weekly(type="sometimes")}, "ErrorPropertyValidationFailure"),
        ({"recurrence": {**weekly(type="noEnd"), "pattern": {"type": "daily"}}}, "ErrorPropertyValidationFailure"),
        ({"singleValueExtendedProperties": [{"id": "x", "value": "y"}]}, "ErrorInvalidPropertyId"),
    ],
)
def test_bad_events_are_refused(calendars: Caller, changes: dict[str, Any], code: str) -> None:
    """Unknown properties, wrong types, zones that are not listed, patterns that are incomplete."""
    assert calendars.code("POST", f"{DANA}/calendar/events", event(**changes)) == (400, code)
    assert calendars.control.effects().total == 0


def test_an_event_is_found_by_what_it_carries(calendars: Caller) -> None:
    """In its mailbox, by the exact value."""
    made = calendars.graph("POST", f"{DANA}/calendar/events", event())[1]
    assert [one["id"] for one in calendars.graph("GET", found())[1]["value"]] == [made["id"]]
    assert calendars.graph("GET", found("e-2"))[1]["value"] == []
    assert calendars.code("GET", f"{DANA}/events?$filter=subject") == (400, "ErrorInvalidUrlQueryFilter")


def test_a_transaction_makes_one_event(calendars: Caller) -> None:
    """The same content gives the same event; other content is refused, naming it; a deleted one does not come back."""
    path, first = f"{DANA}/calendar/events", event(transactionId="t-1")
    made, again = (calendars.graph("POST", path, first) for _ in range(2))
    assert (made[0], again) == (201, made)
    status, refused = calendars.graph("POST", path, {**first, "subject": "Other"})
    assert (status, refused["error"]["code"]) == (400, "ErrorDuplicateTransactionId")
    assert refused["error"]["@event.existingEventId"] == made[1]["id"]
    assert calendars.graph("DELETE", f"{DANA}/events/{made[1]['id']}")[0] == 204
    assert calendars.code("POST", path, first) == (400, "ErrorDuplicateTransactionId")
    assert calendars.control.effects().by_kind == {"create_event": 1, "delete_event": 1}


def test_a_transaction_cannot_be_changed(calendars: Caller) -> None:
    """It is given when the event is created."""
    made = calendars.graph("POST", f"{DANA}/calendar/events", event())[1]
    refusal = calendars.code("PATCH", f"{DANA}/events/{made['id']}", {"transactionId": "t-2"})
    assert refusal == (400, "ErrorPropertyValidationFailure")


def test_events_belong_to_their_mailbox(calendars: Caller) -> None:
    """Another person's path does not lead to it, nor to a calendar that is not theirs."""
    made = calendars.graph("POST", f"{DANA}/calendar/events", event())[1]
    assert calendars.code("DELETE", f"{LEE}/events/{made['id']}") == (404, "ErrorItemNotFound")
    assert calendars.code("POST", f"{SAM}/calendars/AAMkAGVm-Dispatch%3D/events", event())[0] == 404
    assert calendars.graph("POST", f"{LEE}/calendars/AAMkAGVm-Dispatch%3D/events", event())[0] == 201


def test_instances_are_listed_in_pages_and_deleted_one_by_one(calendars: Caller) -> None:
    """In UTC, over the change of the clock; telling the series again brings a deleted one back."""
    recurrence = weekly(type="numbered", numberOfOccurrences=6)
    made = calendars.graph("POST", f"{DANA}/calendar/events", event(recurrence=recurrence))[1]
    span = "startDateTime=2027-01-01T00:00:00Z&endDateTime=2028-01-01T00:00:00Z"
    path = f"{DANA}/events/{made['id']}/instances?{span}&$top=4"
    first = calendars.graph("GET", path)[1]
    second = calendars.graph("GET", first["@odata.nextLink"].partition("/v1.0/users/")[2])[1]
    rows = [*first["value"], *second["value"]]
    assert [one["start"]["dateTime"][:16] for one in rows] == [
        *(f"2027-03-{day:02}T08:00" for day in (1, 8, 15, 22)),
        "2027-03-29T07:00",
        "2027-04-05T07:00",
    ]
    assert calendars.graph("DELETE", f"{DANA}/events/{rows[1]['id']}")[0] == 204
    assert calendars.code("DELETE", f"{DANA}/events/{rows[1]['id']}") == (404, "ErrorItemNotFound")
    assert len(calendars.control.state()["events"][0]["starts"]) == 5
    calendars.graph("PATCH", f"{DANA}/events/{made['id']}", {"recurrence": recurrence, "start": NINE, "end": TEN})
    assert len(calendars.control.state()["events"][0]["starts"]) == 6


def test_the_last_day_stands_for_days_that_a_month_does_not_have(calendars: Caller) -> None:
    """As Exchange counts."""
    told = {**weekly(type="endDate", endDate="2027-06-30"), "pattern": {"type": "absoluteMonthly", "interval": 1}}
    told["pattern"]["dayOfMonth"] = 31
    calendars.graph("POST", f"{DANA}/calendar/events", event(recurrence=told))
    starts = calendars.control.state()["events"][0]["starts"]
    assert [one[:10] for one in starts] == ["2027-03-31", "2027-04-30", "2027-05-31", "2027-06-30"]


@pytest.mark.parametrize(
    "wish", [{"nonsense": 1}, {"delete_events": ["x"]}, {"people": {"x": {}}}, {"settings": {"x": 1}}]
)
def test_wishes_that_cannot_be_are_refused(calendars: Caller, wish: dict[str, Any]) -> None:
    """The world stays as it was."""
    before = calendars.control.state()
    with pytest.raises(SandboxRefused):
        calendars.control.patch_state(**wish)
    assert calendars.control.state() == before


def test_the_state_shows_no_secret(calendars: Caller) -> None:
    """Neither the client's secret nor a token."""
    shown = json.dumps(calendars.control.state())
    assert calendars.known["client_secret"] not in shown
    assert calendars.token not in shown
