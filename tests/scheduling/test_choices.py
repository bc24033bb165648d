"""Whom and what a designer offers when somebody is booked."""

from typing import Any
from uuid import uuid4

import grpc
import pytest

from server.gen.patchbay.v1 import catalog_pb2, identity_pb2
from tests.scheduling.office import TASK, TICKET, Office
from tests.support.served import TENANT, Caller, Served, struct

pytestmark = pytest.mark.anyio


async def options(office: Office, field: str, *, action: str = "create_entry", **asked: Any) -> Any:
    """Asks for the choices of a field."""
    inputs = asked.pop("inputs", {})
    request = catalog_pb2.ListFieldOptionsRequest(
        tenant=TENANT, action=f"scheduling.{action}", field=field, inputs=struct(inputs), **asked
    )
    return await office.caller("Catalog/ListFieldOptions", request)


def shown(answer: Any) -> list[tuple[str, str, str]]:
    """Value, label and second line of each choice."""
    return [(one.value.string_value, one.label, one.detail) for one in answer.options]


@pytest.mark.parametrize("action", ["create_entry", "search_entries", "reassign"])
async def test_technicians_are_offered_by_name(office: Office, action: str) -> None:
    """Only who can be booked; inactive users, customers' people and other roles are not."""
    zoe = await office.hire("Zoe", email="zoe@msp.test")
    adam = await office.hire("adam", last_name="Ant")
    await office.hire("Away", is_inactive=True)
    await office.hire("Guest", user_type="client")
    await office.hire("Clerk", roles=("Clerk",))
    answer = await options(office, "assigned_user_ids", action=action)
    assert shown(answer) == [(adam, "adam Ant", ""), (zoe, "Zoe", "zoe@msp.test")]
    found = await options(office, "assigned_user_ids", action=action, query="@MSP")
    assert shown(found) == [(zoe, "Zoe", "zoe@msp.test")]


async def test_choices_can_be_booked(office: Office) -> None:
    """What the pickers offer is what the action takes."""
    await office.hire("Dana")
    person = shown(await options(office, "assigned_user_ids"))[0][0]
    link = {"type": "project_task"}
    link["id"] = shown(await options(office, "link.id", inputs={"link": link}))[0][0]
    assert (await office.book(person, link=link))["work_item_id"] == TASK


async def test_technicians_come_in_pages(office: Office) -> None:
    """Pages hold each technician once, in the order of names."""
    hired = {f"n{number}": await office.hire(f"n{number}") for number in range(5)}
    first = await options(office, "assigned_user_ids", page_size=3)
    second = await options(office, "assigned_user_ids", page_size=3, page_token=first.next_page_token)
    assert [label for _, label, _ in [*shown(first), *shown(second)]] == sorted(hired)
    assert not second.next_page_token


async def test_work_items_depend_on_their_kind(office: Office) -> None:
    """Tickets have number and title, project tasks a title; without a kind the kind is asked for."""
    await office.owner.execute("UPDATE tickets SET title = 'Printer' WHERE ticket_id = $1", TICKET)
    tickets = await options(office, "link.id", inputs={"link": {"type": "ticket"}})
    assert shown(tickets) == [(TICKET, "Printer", "T-1")]
    tasks = await options(office, "link.id", inputs={"link": {"type": "project_task"}}, query="ROLL")
    assert shown(tasks) == [(TASK, "Rollout", "")]
    assert "type" in (await options(office, "link.id")).empty_reason
    without_title = str(uuid4())
    await office.owner.execute(
        "INSERT INTO tickets (tenant, ticket_id, ticket_number) VALUES ($1, $2, 'A-2')", office.tenant, without_title
    )
    found = await options(office, "link.id", inputs={"link": {"type": "ticket"}}, query="a-2")
    assert shown(found) == [(without_title, "A-2", "A-2")]


async def test_closed_work_is_searched_for_and_not_booked(office: Office) -> None:
    """A closed ticket is offered where entries are searched, not where they are made."""
    await office.owner.execute("UPDATE tickets SET is_closed = true")
    ticket = {"type": "ticket"}
    assert shown(await options(office, "link.id", inputs={"link": ticket})) == []
    searched = await options(office, "work_item.id", action="search_entries", inputs={"work_item": ticket})
    assert [value for value, _, _ in shown(searched)] == [TICKET]
    other = {"work_item": {"type": "interaction"}}
    assert shown(await options(office, "work_item.id", action="search_entries", inputs=other)) == []


async def test_the_lists_are_actions(office: Office) -> None:
    """Workflows list technicians and work items themselves."""
    dana = await office.hire("Dana", timezone="Europe/Vienna")
    listed = await office.done("technicians.list", {"query": "dan", "limit": 1})
    assert listed["technicians"] == [{"user_id": dana, "name": "Dana", "timezone": "Europe/Vienna"}]
    items = (await office.done("work_items.list", {}))["work_items"]
    assert [(item["type"], item["work_item_id"]) for item in items] == [("project_task", TASK), ("ticket", TICKET)]
    assert "number" not in items[0]


async def test_a_limit_out_of_range_is_refused(office: Office) -> None:
    """Both lists name the field."""
    for action in ("technicians.list", "work_items.list"):
        with pytest.raises(grpc.aio.AioRpcError, match=r"input\.limit") as caught:
            await office.run(action, {"limit": 1001})
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_people_and_work_of_others_are_not_offered(office: Office, served: Served) -> None:
    """Another tenant is offered nothing of this one's directory."""
    await office.hire("Dana")
    await office.caller("Identity/CreateTenant", identity_pb2.CreateTenantRequest(slug="stranger"))
    request = identity_pb2.CreateApiKeyRequest(label="stranger", tenants=["stranger"], permissions=["*"])
    secret = (await office.caller("Identity/CreateApiKey", request)).secret
    stranger = Caller(served.handle.target, secret)
    try:
        for field, inputs in (("assigned_user_ids", {}), ("link.id", {"link": {"type": "ticket"}})):
            asked = catalog_pb2.ListFieldOptionsRequest(
                action="scheduling.create_entry", field=field, inputs=struct(inputs)
            )
            answer = await stranger("Catalog/ListFieldOptions", asked)
            assert not answer.options
            assert "found nothing" in answer.empty_reason
    finally:
        await stranger.close()
