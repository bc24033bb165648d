"""Microsoft's Graph SDK judges what we write into calendars, and the simulated Graph (extra `judges-graph`)."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib import import_module
from typing import Any

import httpx
import pytest

from sandbox.client import SandboxControl
from sandbox.microsoft365calendar import create_app
from sandbox.serving import SandboxServer
from server.modules.microsoft365calendar.rendering import rendered
from server.modules.microsoft365calendar.series import series_of
from server.sdk.schedule import Entry, Recurrence

msgraph = pytest.importorskip("msgraph", reason="the extra 'judges-graph' is not installed: make judges")

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore::DeprecationWarning")]  # of the judges themselves
DANA = "7d9f3b54-3333-4444-8555-666677778881"
MONDAY = datetime(2027, 3, 1, 8, tzinfo=UTC)
RULES = [
    None,
    Recurrence(frequency="daily", count=3),
    Recurrence(frequency="weekly", interval=2, days_of_week=(0, 3), count=5),
    Recurrence(frequency="monthly", day_of_month=31, count=5, exceptions=frozenset({date(2027, 5, 31)})),
    Recurrence(frequency="yearly", until=MONDAY + timedelta(days=800)),
    Recurrence(frequency="weekly"),
]


def of(module: str, name: str) -> Any:
    """A class of the SDK, which has a module for each."""
    return getattr(import_module(module), name)


def written(rule: Recurrence | None) -> dict[str, Any]:
    """The event for an entry."""
    entry = Entry(
        id="e-1",
        title="Visit",
        status="scheduled",
        assignees=("u",),
        start=MONDAY,
        end=MONDAY + timedelta(hours=1),
        recurrence=rule,
        timezone="Europe/Vienna",
        is_private=True,
    )
    return dict(rendered(entry, series_of(entry, rule) if rule else None))


def parsed(event: dict[str, Any]) -> Any:
    """The SDK's reading of an event."""
    kind = of("msgraph.generated.models.event", "Event")
    node = of("kiota_serialization_json.json_parse_node", "JsonParseNode")(event)
    return node.get_object_value(kind)


def strange(value: Any) -> list[str]:
    """Names that the SDK's classes do not know, at any depth."""
    if isinstance(value, list):
        return [name for one in value for name in strange(one)]
    if not hasattr(value, "additional_data"):
        return []
    inner = (one for name, one in vars(value).items() if name not in {"additional_data", "backing_store"})
    return [*value.additional_data, *(name for one in inner for name in strange(one))]


@dataclass
class Bearer:
    """Signs the SDK's requests; its own providers refuse addresses without TLS."""

    token: str

    async def authenticate_request(self, request: Any, _context: Any = None) -> None:
        """Adds the header."""
        request.headers.add("Authorization", f"Bearer {self.token}")


@pytest.fixture
def server() -> Iterator[SandboxServer]:
    """The demo world."""
    with SandboxServer(create_app()) as running:
        yield running


@pytest.fixture
async def graph(server: SandboxServer) -> AsyncIterator[Any]:
    """Microsoft's client."""
    known = SandboxControl(server.url).credentials()
    form = {
        "grant_type": "client_credentials",
        "client_id": known["app_id"],
        "client_secret": known["client_secret"],
        "scope": "https://graph.microsoft.com/.default",
    }
    async with httpx.AsyncClient(trust_env=False) as client:  # the SDK's own one leaves its sockets open
        granted = await client.post(f"{server.url}/login/{known['tenant_id']}/oauth2/v2.0/token", data=form)
        adapter = msgraph.GraphRequestAdapter(Bearer(granted.json()["access_token"]), client)
        adapter.base_url = f"{server.url}/graph/v1.0"
        yield msgraph.GraphServiceClient(request_adapter=adapter)


@pytest.mark.parametrize("rule", RULES)
def test_every_name_that_we_write_is_one_of_graphs(rule: Recurrence | None) -> None:
    """Its classes know all properties of the event, of its recurrence and its times, and all words in them."""
    event = parsed(written(rule))
    assert strange(event) == []
    assert (event.sensitivity.value, event.show_as.value, event.body.content_type.value) == ("private", "busy", "text")
    if rule is None:
        assert event.recurrence is None
        return
    pattern, span = event.recurrence.pattern, event.recurrence.range
    assert pattern.type is not None
    assert span.type is not None
    assert span.start_date == date.fromisoformat(written(rule)["recurrence"]["range"]["startDate"])
    assert [day.value for day in pattern.days_of_week or []] == written(rule)["recurrence"]["pattern"].get(
        "daysOfWeek", []
    )


async def test_its_event_is_taken_found_and_deleted(server: SandboxServer, graph: Any) -> None:
    """As its serializer writes it, with a transaction and a mark."""
    event = parsed(written(RULES[1]))
    mark = of("msgraph.generated.models.single_value_legacy_extended_property", "SingleValueLegacyExtendedProperty")
    name = "String {6c0b9d6e-3f0c-4f0e-9b57-2a1d5d0c7e41} Name Test"
    event.single_value_extended_properties = [mark(id=name, value="e-1")]
    event.transaction_id = "t-1"
    made = await graph.users.by_user_id(DANA).calendar.events.post(event)
    assert made.transaction_id == "t-1"
    (stored,) = SandboxControl(server.url).state()["events"]
    assert [start[:10] for start in stored["starts"]] == ["2027-03-01", "2027-03-02", "2027-03-03"]
    await graph.users.by_user_id(DANA).events.by_event_id(made.id).delete()
    assert SandboxControl(server.url).state()["events"] == []


async def test_it_reads_the_refusal_of_a_used_transaction(graph: Any) -> None:
    """Code and the id of the event that exists."""
    event = parsed(written(None))
    event.transaction_id = "t-1"
    made = await graph.users.by_user_id(DANA).calendar.events.post(event)
    event.subject = "Other"
    with pytest.raises(of("msgraph.generated.models.o_data_errors.o_data_error", "ODataError")) as refused:
        await graph.users.by_user_id(DANA).calendar.events.post(event)
    error = refused.value.error
    assert error.code == "ErrorDuplicateTransactionId"
    assert error.additional_data["@event.existingEventId"] == made.id
