"""The module through a real server, against a small vendor."""

import asyncio

import pytest
from patchbay_client import ActionFailed, AsyncPatchbay, ConnectFailed, Execution, InvalidInput, OutcomeUnknown
from sandbox.client import SandboxControl
from sandbox.serving import SandboxServer

pytestmark = pytest.mark.anyio

LIST, OPEN = "statusboard.components.list", "statusboard.incidents.open"
MAIL_DOWN = {"component_id": "1", "title": "Mail is down"}


async def test_a_refused_token_stores_nothing(patchbay: AsyncPatchbay, server: SandboxServer) -> None:
    """A token that the vendor refuses fails the connection and leaves none behind."""
    with pytest.raises(ConnectFailed) as caught:
        await patchbay.connections.connect(
            "statusboard",
            {"instance_url": server.url, "token": "wrong"},
            private_networks=["127.0.0.0/8"],
            plain_http=True,
        )
    assert caught.value.failure.reason == "CREDENTIALS_REFUSED"
    assert await patchbay.connections.list() == []


async def test_components_are_listed(connected: AsyncPatchbay) -> None:
    """The READ action filters by name and state and keeps the limit."""
    everything = (await connected.execute(LIST, {})).output["components"]
    down = (await connected.execute(LIST, {"status": "outage"})).output["components"]
    first = (await connected.execute(LIST, {"limit": 1})).output["components"]
    assert [one["name"] for one in everything] == ["Fax", "Mail", "Remote access"]
    assert down == [{"id": "2", "name": "Remote access", "status": "outage"}]
    assert [one["name"] for one in first] == ["Fax"]


async def test_the_picker_offers_components(connected: AsyncPatchbay) -> None:
    """The choices of `component_id` are the vendor's components, searched by what a person types."""
    options = (await connected.options(OPEN, "component_id", query="mail")).options
    assert [(one.label, one.detail) for one in options] == [("Mail", "operational")]


async def test_an_incident_is_opened_once(connected: AsyncPatchbay, statusboard: SandboxControl) -> None:
    """The same key opens one incident and answers the second call from the record."""
    first = await connected.execute(OPEN, MAIL_DOWN, key="run-1/step-1")
    again = await connected.execute(OPEN, MAIL_DOWN, key="run-1/step-1")
    assert (again.replayed, again.output) == (True, first.output)
    assert statusboard.effects().count("incident") == 1


async def test_a_retired_component_is_a_failure(connected: AsyncPatchbay, statusboard: SandboxControl) -> None:
    """The vendor's 409 is the declared failure, with the field at fault and no effect."""
    with pytest.raises(ActionFailed) as caught:
        await connected.execute(OPEN, {"component_id": "3", "title": "Paper jam"}, key="run-2/step-1")
    failure = caught.value.failure
    assert (failure.reason, failure.field, failure.effect.name) == ("COMPONENT_RETIRED", "component_id", "NONE")
    assert statusboard.effects().total == 0


async def test_an_input_against_the_contract_never_leaves(
    connected: AsyncPatchbay, statusboard: SandboxControl
) -> None:
    """A missing title is refused with its path; the vendor hears nothing of it."""
    with pytest.raises(InvalidInput) as caught:
        await connected.execute(OPEN, {"component_id": "1"}, key="run-3/step-1")
    assert [one.field for one in caught.value.violations] == ["input.title"]
    assert not [one for one in statusboard.requests() if one["path"] == "/api/incidents"]


async def test_a_lost_answer_is_settled_by_the_probe(connected: AsyncPatchbay, statusboard: SandboxControl) -> None:
    """A connection that breaks after the effect is UNKNOWN first; then the probe finds the incident."""
    statusboard.add_fault("reset_after", method="POST")
    with pytest.raises(OutcomeUnknown):
        await connected.execute(OPEN, MAIL_DOWN, key="run-4/step-1")
    settled = await _settled(connected, "run-4/step-1")
    assert settled.output["incident_id"] == "1"
    assert statusboard.effects().count("incident") == 1


async def _settled(patchbay: AsyncPatchbay, key: str) -> Execution:
    async with asyncio.timeout(60):
        while True:
            execution = await patchbay.executions.get(key=key)
            if execution.succeeded:
                return execution
            await asyncio.sleep(0.1)
