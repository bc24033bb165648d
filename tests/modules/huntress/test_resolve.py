"""Resolving reports: whose key, which state, and what becomes of a lost answer."""

from typing import Any

import pytest

from sandbox.client import SandboxControl
from sandbox.serving import SandboxServer
from server.gen.patchbay.modules.huntress.v1 import huntress_pb2 as pb
from server.gen.patchbay.v1.failure_pb2 import FAILURE_CATEGORY_CONFLICT, FAILURE_CATEGORY_PERMISSION
from server.modules.huntress.actions import probe_resolve_incident, resolve_incident
from server.sdk import Effect
from tests.modules.harness import Connect, Connected
from tests.modules.huntress.conftest import asked, failing
from tests.modules.huntress.world import CLOSED, DISMISSED, NOBODY, OPEN, READY, by_key

pytestmark = pytest.mark.anyio


def ask(id: str = READY) -> pb.ResolveIncidentRequest:
    """Returns a request to resolve a report."""
    return pb.ResolveIncidentRequest(incident_id=id)


def resolved(vendor: SandboxControl) -> int:
    """Counts the reports that were really closed."""
    return vendor.effects().count("resolve")


async def test_a_ready_report_is_closed_by_one_request_without_a_body(
    connected: Connected, vendor: SandboxControl
) -> None:
    """The path ends in `/resolution`; the answer has the new status; the send mark was set."""
    answer = await connected.run(resolve_incident, ask())
    assert (answer.resolved, answer.incident_id, answer.status, answer.already_resolved) == (
        True,
        READY,
        "closed",
        False,
    )
    assert asked(vendor) == [f"POST /v1/incident_reports/{READY}/resolution"]
    assert vendor.requests()[0]["body"] == ""
    assert (resolved(vendor), len(connected.told.marks)) == (1, 1)


@pytest.mark.parametrize("body", [{"incident_report": {}}, {}, {"incident_report": {"status": None}}])
async def test_a_status_that_is_not_told_is_closed(connected: Connected, vendor: SandboxControl, body: Any) -> None:
    """The vendor's word that it was done is enough."""
    vendor.add_fault("status", method="POST", status=201, body=body)
    assert (await connected.run(resolve_incident, ask())).status == "closed"


@pytest.mark.parametrize("status", [409, 422])
async def test_a_closed_report_is_a_success(connected: Connected, vendor: SandboxControl, status: int) -> None:
    """Whichever status Huntress refuses it with, the report is read, and nothing is closed twice."""
    vendor.patch_state(settings={"wrong_status": status})
    answer = await connected.run(resolve_incident, ask(CLOSED))
    assert (answer.resolved, answer.status, answer.already_resolved) == (True, "closed", True)
    assert asked(vendor)[1:] == [f"GET /v1/incident_reports/{CLOSED}"]
    assert resolved(vendor) == 0


async def test_open_remediations_are_counted(connected: Connected, vendor: SandboxControl) -> None:
    """A report that is not ready is a declared failure with the number that waits for approval."""
    failure = await failing(connected, resolve_incident, ask(OPEN))
    assert (failure.reason, failure.category) == ("INCIDENT_NOT_READY", FAILURE_CATEGORY_CONFLICT)
    assert (failure.effect, failure.retryable, failure.field) == (Effect.EFFECT_NONE, False, "incident_id")
    assert "`sent`, 2 of its remediations are not approved" in failure.message
    assert (failure.vendor_status, failure.vendor_message) == (409, "All remediations must be approved first")
    assert resolved(vendor) == 0


async def test_remediations_beyond_the_ten_that_a_report_shows_are_counted(
    connected: Connected, vendor: SandboxControl
) -> None:
    """The list is asked, not the report."""
    vendor.patch_state(incident_reports={OPEN: {"remediations": [{"id": n} for n in range(1, 24)]}})
    failure = await failing(connected, resolve_incident, ask(OPEN))
    assert "23 of its remediations" in failure.message
    query = "statuses%5B%5D=unapproved&limit=500"
    assert asked(vendor)[-1] == f"GET /v1/incident_reports/{OPEN}/remediations?{query}"


@pytest.mark.parametrize("status", [409, 422])
async def test_a_report_that_was_dismissed_is_not_ready(
    connected: Connected, vendor: SandboxControl, status: int
) -> None:
    """The message names the status at which it stands."""
    vendor.patch_state(settings={"wrong_status": status})
    failure = await failing(connected, resolve_incident, ask(DISMISSED))
    assert (failure.reason, failure.vendor_status) == ("INCIDENT_NOT_READY", status)
    assert "`dismissed`, 0 of" in failure.message


async def test_when_the_report_cannot_be_read_that_is_told(connected: Connected, vendor: SandboxControl) -> None:
    """A refusal whose cause stays unknown had no effect, and the failure of the reading is told."""
    vendor.add_fault("status", method="GET", status=500, times=0)
    failure = await failing(connected, resolve_incident, ask(OPEN))
    assert (failure.reason, failure.effect) == ("VENDOR_ERROR", Effect.EFFECT_NONE)


async def test_an_account_key_cannot_resolve(connect: Connect, server: SandboxServer, vendor: SandboxControl) -> None:
    """403 on the write is the declared failure; on a read it is the common one."""
    failure = await failing(connect(by_key(server.url, "account")), resolve_incident, ask())
    assert (failure.reason, failure.category) == ("USER_KEY_REQUIRED", FAILURE_CATEGORY_PERMISSION)
    assert (failure.effect, failure.retryable, failure.vendor_status) == (Effect.EFFECT_NONE, False, 403)
    assert failure.vendor_message == "This API key is not allowed to do that"
    assert resolved(vendor) == 0


async def test_an_unknown_report_is_not_found(connected: Connected) -> None:
    """404, from the write itself."""
    failure = await failing(connected, resolve_incident, ask(NOBODY))
    assert (failure.reason, failure.effect, failure.vendor_status) == ("NOT_FOUND", Effect.EFFECT_NONE, 404)


async def test_too_many_requests_are_not_repeated_for_a_write(connected: Connected, vendor: SandboxControl) -> None:
    """429 had no effect and can be tried again by the caller, with the time to wait."""
    vendor.add_fault("status", method="POST", status=429, times=0)
    failure = await failing(connected, resolve_incident, ask())
    assert (failure.reason, failure.effect, failure.retryable) == ("RATE_LIMITED", Effect.EFFECT_NONE, True)
    assert failure.retry_after.seconds == 10
    assert len(asked(vendor)) == 1


@pytest.mark.parametrize(
    ("kind", "fault", "done"),
    [
        ("reset_before", {}, 0),
        ("reset_after", {}, 1),
        ("garbage", {"status": 201}, 1),
        ("truncate", {"status": 201, "bytes": 5}, 1),
        ("status", {"status": 500, "after": True}, 1),
        ("status", {"status": 503}, 0),
        ("status", {"status": 201, "body": ""}, 0),
    ],
)
async def test_a_lost_answer_is_unknown_and_proved_by_the_report(
    connected: Connected, vendor: SandboxControl, kind: str, fault: dict[str, Any], done: int
) -> None:
    """The request is never repeated; the probe finds the closed report, and proves nothing while it is open."""
    vendor.add_fault(kind, method="POST", **fault)
    failure = await failing(connected, resolve_incident, ask())
    assert (failure.reason, failure.effect) == ("OUTCOME_UNKNOWN", Effect.EFFECT_UNKNOWN)
    assert (len(asked(vendor)), resolved(vendor)) == (1, done)
    found = await connected.probe(probe_resolve_incident, ask(), {})
    assert (found is not None) == bool(done)
    if found is not None:
        assert (found.resolved, found.status, found.HasField("already_resolved")) == (True, "closed", False)
    assert asked(vendor)[1:] == [f"GET /v1/incident_reports/{READY}"]


@pytest.mark.parametrize("id", [OPEN, DISMISSED])
async def test_a_report_that_is_not_closed_proves_nothing(connected: Connected, id: str) -> None:
    """The request may still be on its way, or somebody may have been faster."""
    assert await connected.probe(probe_resolve_incident, ask(id), {}) is None
