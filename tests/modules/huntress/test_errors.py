"""Every shape in which Huntress says no, and answers that are not its own."""

from typing import Any

import pytest

from sandbox.client import SandboxControl
from sandbox.serving import SandboxServer
from server.gen.patchbay.modules.huntress.v1 import huntress_pb2 as pb
from server.modules.huntress import MODULE
from server.modules.huntress.actions import find_incidents, get_account, get_agent, get_incident
from server.modules.huntress.client import HuntressClient
from server.sdk import ActionFailure, Effect
from tests.modules.harness import Connect, Connected
from tests.modules.huntress.conftest import asked, failing
from tests.modules.huntress.world import KEYS, NOBODY, READY, by_key

pytestmark = pytest.mark.anyio

SHAPES = {
    "error": "Not found",
    "message": "Not found",
    "errors": "Not found",
    "fields": "base: Not found",
    "text": "Not found",
    "empty": "",
}


@pytest.mark.parametrize(("shape", "said"), SHAPES.items())
async def test_the_vendors_words_are_read_from_every_shape(
    connected: Connected, vendor: SandboxControl, shape: str, said: str
) -> None:
    """All shapes that clients report give the same words; an empty body gives none."""
    vendor.patch_state(settings={"errors": shape})
    failure = await failing(connected, get_agent, pb.GetAgentRequest(agent_id=NOBODY))
    assert (failure.reason, failure.vendor_message) == ("NOT_FOUND", said)


@pytest.mark.parametrize(
    ("status", "reason", "retryable"),
    [
        (400, "VENDOR_REJECTED_INPUT", False),
        (401, "CREDENTIALS_REFUSED", False),
        (403, "VENDOR_PERMISSION_DENIED", False),
        (404, "NOT_FOUND", False),
        (409, "CONFLICT", False),
        (422, "VENDOR_REJECTED_INPUT", False),
        (429, "RATE_LIMITED", True),
        (500, "VENDOR_ERROR", False),
        (502, "VENDOR_UNAVAILABLE", True),
        (302, "VENDOR_ANSWER_INVALID", False),
    ],
)
async def test_every_status_has_its_meaning(
    connected: Connected, vendor: SandboxControl, status: int, reason: str, retryable: bool
) -> None:
    """A read that fails changed nothing and tells status and words."""
    vendor.add_fault("status", status=status, times=0, body={"error": "because"})
    failure = await failing(connected, get_incident, pb.GetIncidentRequest(incident_id=READY), seconds=5)
    assert (failure.reason, failure.retryable, failure.effect) == (reason, retryable, Effect.EFFECT_NONE)
    assert (failure.vendor_status, failure.vendor_message) == (status, "because")


async def test_without_advice_429_asks_for_ten_seconds(connected: Connected, vendor: SandboxControl) -> None:
    """No document names Retry-After; what does not fit the deadline is told to the caller, not slept through."""
    vendor.patch_state(settings={"rate_limit": 0})
    failure = await failing(connected, find_incidents, pb.FindIncidentsRequest(), seconds=8)
    assert (failure.reason, failure.retry_after.seconds) == ("RATE_LIMITED", 10)
    assert (failure.vendor_status, failure.vendor_message) == (429, "Rate limit exceeded")
    assert len(asked(vendor)) == 1


async def test_advice_of_429_is_followed(connected: Connected, vendor: SandboxControl) -> None:
    """Where Huntress sends Retry-After, the read waits that long and goes on."""
    vendor.add_fault("status", status=429, headers={"Retry-After": "0"})
    assert (await connected.run(find_incidents, pb.FindIncidentsRequest())).count == 4
    assert len(asked(vendor)) == 2
    vendor.patch_state(settings={"rate_limit": 0, "retry_after": 50})
    failure = await failing(connected, find_incidents, pb.FindIncidentsRequest(), seconds=8)
    assert failure.retry_after.seconds == 50


@pytest.mark.parametrize("body", [[1], '"text"', "<html>page</html>", "", {"incident_reports": [1]}, {"other": []}])
async def test_answers_that_are_not_lists_of_objects_are_named(
    connected: Connected, vendor: SandboxControl, body: Any
) -> None:
    """What is not the API's own answer is VENDOR_ANSWER_INVALID, never a crash."""
    vendor.add_fault("status", status=200, body=body)
    failure = await failing(connected, find_incidents, pb.FindIncidentsRequest())
    assert failure.reason == "VENDOR_ANSWER_INVALID"


@pytest.mark.parametrize(
    "row",
    [
        {"id": None, "status": 7, "indicator_types": "x", "sent_at": "soon", "summary": None},
        {"id": "12", "organization_id": True, "agent_id": {}, "indicator_types": [None, 3, "footholds"]},
    ],
)
async def test_fields_of_other_types_are_absent(connected: Connected, vendor: SandboxControl, row: Any) -> None:
    """Nonsense in a field costs that field only."""
    vendor.add_fault("status", status=200, body={"incident_reports": [row], "pagination": None})
    (incident,) = (await connected.run(find_incidents, pb.FindIncidentsRequest())).incidents
    assert not incident.HasField("organization_id")
    assert not incident.HasField("sent_at")


async def test_wrong_credentials_are_refused(connect: Connect, server: SandboxServer) -> None:
    """The check of a connection with a wrong secret."""
    connected = connect(by_key(server.url, api_secret="hs_wrong_secret_99990000"))
    with pytest.raises(ActionFailure) as caught:
        await connected.check(MODULE)
    assert caught.value.failure.reason == "CREDENTIALS_REFUSED"
    assert "hs_wrong" not in str(caught.value)


@pytest.mark.parametrize("key", ["user", "account"])
async def test_either_kind_of_key_may_connect(
    connect: Connect, server: SandboxServer, vendor: SandboxControl, key: str
) -> None:
    """The check is one request that any key may make."""
    await connect(by_key(server.url, key)).check(MODULE)
    assert asked(vendor) == ["GET /v1/account"]


async def test_the_vendor_repeating_the_credentials_tells_nothing(connected: Connected, vendor: SandboxControl) -> None:
    """Key, secret and the Basic header made of them are masked in what is told."""
    header = "aGtfdXNlcl8xMTExMjIyMjpoc191c2VyX3NlY3JldF8zMzMzNDQ0NA=="
    words = f"Basic {header} of {KEYS['user']['api_key']}:{KEYS['user']['api_secret']} is wrong"
    vendor.add_fault("status", status=403, body={"error": words})
    failure = await failing(connected, get_account, pb.GetAccountRequest())
    assert "is wrong" in failure.vendor_message
    told = str(failure)
    assert not any(secret in told for secret in (*KEYS["user"].values(), header, header[20:40]))


def test_the_address_has_a_default_and_one_spelling() -> None:
    """Huntress has one address for everybody; a proxy's is normalized."""
    assert HuntressClient.instance_url(pb.HuntressConnection()) == "https://api.huntress.io"
    assert (
        HuntressClient.instance_url(pb.HuntressConnection(instance_url="Proxy.example.com/"))
        == "https://proxy.example.com"
    )
    with pytest.raises(ActionFailure) as caught:
        HuntressClient.instance_url(pb.HuntressConnection(instance_url="ftp://proxy.example.com"))
    assert caught.value.failure.field == "settings.instance_url"
