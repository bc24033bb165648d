"""What is read: reports, organizations, agents, account."""

from datetime import UTC, datetime
from typing import Any

import pytest

from sandbox.client import SandboxControl
from sandbox.huntress.wire import FOREIGN_PAGES
from sandbox.serving import SandboxServer
from server.gen.patchbay.modules.huntress.v1 import huntress_pb2 as pb
from server.modules.huntress.actions import (
    find_incidents,
    get_account,
    get_agent,
    get_incident,
    list_organizations,
)
from tests.modules.harness import Connect, Connected
from tests.modules.huntress.conftest import DOCUMENT, asked, failing
from tests.modules.huntress.world import CLOSED, DISMISSED, FARM, FOREIGN, NOBODY, OPEN, OVEN, READY, TILL, by_key

pytestmark = pytest.mark.anyio


async def test_every_request_is_checked_against_the_vendors_document(connected: Connected) -> None:
    """The checker knows each of the six actions' paths; without the document the test says so."""
    DOCUMENT.required()
    answer = await connected.run(find_incidents, pb.FindIncidentsRequest())
    assert answer.count == 4


async def test_reports_are_found_by_their_last_change(connected: Connected, vendor: SandboxControl) -> None:
    """Unfiltered, the one that changed last first, with one request of the caller's size; no other account's."""
    answer = await connected.run(find_incidents, pb.FindIncidentsRequest(limit=7))
    assert [one.incident_id for one in answer.incidents] == [OPEN, READY, DISMISSED, CLOSED]
    assert answer.count == 4
    assert asked(vendor) == ["GET /v1/incident_reports?sort_field=updated_at&sort_direction=desc&limit=7"]


async def test_a_report_is_told_with_text_ids_and_times(connected: Connected) -> None:
    """Ids are digits as text, times are times, what is null is unset."""
    first, second = (await connected.run(find_incidents, pb.FindIncidentsRequest(limit=2))).incidents
    assert (second.incident_id, second.organization_id, second.agent_id) == (READY, "31", "51")
    assert (second.status, second.severity, second.platform) == ("sent", "high", "windows")
    assert (second.summary, second.subject) == ("A loader was found.", "HIGH - Incident on till-01 (Quayside Bakery)")
    assert list(second.indicator_types) == ["footholds", "process_detections"]
    assert second.sent_at.ToDatetime(UTC) == datetime(2026, 11, 20, 9, 20, 5, tzinfo=UTC)
    assert not second.HasField("closed_at")
    assert (first.HasField("agent_id"), first.HasField("subject"), first.HasField("sent_at")) == (False, False, False)


@pytest.mark.parametrize(
    ("request_", "ids"),
    [
        (pb.FindIncidentsRequest(status="closed"), [CLOSED]),
        (pb.FindIncidentsRequest(severity="high"), [READY, CLOSED]),
        (pb.FindIncidentsRequest(severity="high", status="sent"), [READY]),
        (pb.FindIncidentsRequest(platform="microsoft_365"), [CLOSED]),
        (pb.FindIncidentsRequest(organization_id=FARM), [CLOSED]),
        (pb.FindIncidentsRequest(agent_id=TILL), [READY]),
        (pb.FindIncidentsRequest(agent_id=NOBODY), []),
    ],
)
async def test_the_vendor_filters_reports(
    connected: Connected, request_: pb.FindIncidentsRequest, ids: list[str]
) -> None:
    """Each filter alone and two together."""
    answer = await connected.run(find_incidents, request_)
    assert [one.incident_id for one in answer.incidents] == ids


@pytest.mark.parametrize("last", [{}, {"next_page_token": None, "next_page_url": None}, {"next_page_token": ""}, None])
async def test_reports_are_read_past_a_short_page(connected: Connected, vendor: SandboxControl, last: Any) -> None:
    """A page shorter than asked is followed by its token, with the same filters, until none is told in any form.

    `next_page_url` is never called.
    """
    page = {"incident_reports": [{"id": 1}], "pagination": {"next_page_token": "t+=", "next_page_url": FOREIGN_PAGES}}
    vendor.add_fault("status", status=200, body=page)
    vendor.add_fault("status", status=200, body={**page, "pagination": last})
    answer = await connected.run(find_incidents, pb.FindIncidentsRequest(limit=3, status="sent"))
    assert [one.incident_id for one in answer.incidents] == ["1", "1"]
    first, second = asked(vendor)
    assert first == "GET /v1/incident_reports?status=sent&sort_field=updated_at&sort_direction=desc&limit=3"
    assert second == f"{first}&page_token=t%2B%3D"


async def test_no_more_reports_than_the_limit_are_told(connected: Connected, vendor: SandboxControl) -> None:
    """Also when the vendor's page is longer than asked, and no further page is read."""
    rows = [{"id": n} for n in range(1, 6)]
    page = {"incident_reports": rows, "pagination": {"next_page_token": "more"}}
    vendor.add_fault("status", status=200, body=page)
    answer = await connected.run(find_incidents, pb.FindIncidentsRequest(limit=3))
    assert [one.incident_id for one in answer.incidents] == ["1", "2", "3"]
    assert len(asked(vendor)) == 1


async def test_pages_in_a_circle_end_with_a_failure(connected: Connected, vendor: SandboxControl) -> None:
    """A token that leads back to itself does not eat the budget."""
    page = {"organizations": [], "pagination": {"next_page_token": "again"}}
    vendor.add_fault("status", status=200, body=page, times=0)
    failure = await failing(connected, list_organizations, pb.ListOrganizationsRequest())
    assert failure.reason == "VENDOR_ANSWER_INVALID"
    assert len(asked(vendor)) == 2


@pytest.mark.parametrize("wrapped", [True, False])
async def test_a_report_is_read_with_its_text(connected: Connected, vendor: SandboxControl, wrapped: bool) -> None:
    """Under its name or bare; an empty text is unset."""
    if not wrapped:
        vendor.add_fault("status", status=200, body={"id": int(READY), "status": "sent", "body": "<p>loader</p>"})
    answer = await connected.run(get_incident, pb.GetIncidentRequest(incident_id=READY))
    assert (answer.incident.incident_id, answer.body) == (READY, "<p>loader</p>")
    assert not (await connected.run(get_incident, pb.GetIncidentRequest(incident_id=OPEN))).HasField("body")


@pytest.mark.parametrize("id", [NOBODY, FOREIGN])
async def test_missing_and_not_permitted_are_the_same(connected: Connected, id: str) -> None:
    """What Huntress does not show is NOT_FOUND, and the message names both reasons."""
    failure = await failing(connected, get_incident, pb.GetIncidentRequest(incident_id=id))
    assert (failure.reason, failure.vendor_status, failure.vendor_message) == ("NOT_FOUND", 404, "Not found")
    assert ("or the key may not see it" in failure.message, failure.field) == (True, "incident_id")
    assert failure.remedy.text


@pytest.mark.parametrize(
    ("query", "limit", "names"),
    [
        ("", 0, ["Hilltop Farm", "Quayside Bakery", "quay two"]),
        ("QUAY", 0, ["Quayside Bakery", "quay two"]),
        ("quay", 1, ["Quayside Bakery"]),
        ("farm", 1, ["Hilltop Farm"]),
        ("nothing", 0, []),
    ],
)
async def test_organizations_are_filtered_before_they_are_cut(
    connected: Connected, query: str, limit: int, names: list[str]
) -> None:
    """The text is looked for in the name in any case; the limit counts what was found."""
    request = pb.ListOrganizationsRequest(query=query, limit=limit or None)
    answer = await connected.run(list_organizations, request)
    assert [one.name for one in answer.organizations] == names
    assert answer.count == len(names)


@pytest.mark.parametrize("last_page", ["empty", "nulls"])
async def test_organizations_are_read_page_by_page(
    connected: Connected, vendor: SandboxControl, last_page: str
) -> None:
    """600 of them come in pages of 500; the one that is sought is on the second."""
    rows = [{"id": 1000 + n, "account_id": 1, "name": f"org {n:03}", "key": str(n)} for n in range(600)]
    vendor.patch_state(add_organizations=rows, settings={"last_page": last_page})
    answer = await connected.run(list_organizations, pb.ListOrganizationsRequest(query="g 599"))
    assert [one.organization_id for one in answer.organizations] == ["1599"]
    first, second = asked(vendor)
    assert first == "GET /v1/organizations?sort_field=name&sort_direction=asc&limit=500"
    assert second.startswith(f"{first}&page_token=")


async def test_an_organization_without_numbers_has_none(connected: Connected) -> None:
    """A count that is null is unset, not 0."""
    farm, bakery, _ = (await connected.run(list_organizations, pb.ListOrganizationsRequest())).organizations
    assert (farm.HasField("agents_count"), bakery.agents_count) == (False, 2)


async def test_an_agent_is_read(connected: Connected) -> None:
    """With its last sign of life; of one that tells nothing only the id is known."""
    agent = (await connected.run(get_agent, pb.GetAgentRequest(agent_id=TILL))).agent
    assert (agent.agent_id, agent.hostname, agent.platform, agent.os) == (TILL, "till-01", "windows", "Windows 11 Pro")
    assert (agent.version, agent.organization_id, agent.ipv4_address) == ("0.14.88", "31", "192.0.2.7")
    assert agent.last_callback_at.ToDatetime(UTC) == datetime(2026, 11, 20, 9, 11, 2, tzinfo=UTC)
    silent = (await connected.run(get_agent, pb.GetAgentRequest(agent_id=OVEN))).agent
    assert [field.name for field, _ in silent.ListFields()] == ["agent_id"]


async def test_an_unknown_agent_is_not_found(connected: Connected) -> None:
    """The same message for missing and hidden."""
    failure = await failing(connected, get_agent, pb.GetAgentRequest(agent_id=NOBODY))
    assert (failure.reason, failure.vendor_status, failure.field) == ("NOT_FOUND", 404, "agent_id")


@pytest.mark.parametrize("wrapped", [True, False])
async def test_the_account_is_read_wrapped_or_bare(connected: Connected, vendor: SandboxControl, wrapped: bool) -> None:
    """Account and actor come under their names or bare."""
    vendor.patch_state(settings={"wrap_account": wrapped, "wrap_actor": wrapped})
    answer = await connected.run(get_account, pb.GetAccountRequest())
    assert (answer.account_id, answer.name, answer.subdomain) == ("1", "Tidewater", "tidewater")
    assert answer.key_user_email == "desk@tidewater.example.com"


async def test_an_account_key_is_told_early(connect: Connect, server: SandboxServer) -> None:
    """It belongs to no user, which account.get shows before anything has to be resolved."""
    answer = await connect(by_key(server.url, "account")).run(get_account, pb.GetAccountRequest())
    assert (answer.account_id, answer.HasField("key_user_email")) == ("1", False)
