"""One event for one entry in one calendar, whatever gets lost, is repeated, or is deleted by a person."""

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest

from server.sdk import ActionFailure
from server.sdk.events import Event
from tests.modules.microsoft365calendar.world import DANA, DISPATCH, LEE, Tenant, Vendor, entry

pytestmark = pytest.mark.anyio


async def cut_off(msp: Tenant, vendor: Vendor, event: Event) -> None:
    """Delivers an event and ends between Graph's effect and our row, as a killed process does."""
    vendor.control.add_fault("hang", method="POST", path_regex="/events$")
    before = vendor.counted().get("create_event", 0)
    task = asyncio.create_task(msp.tell(event))
    while vendor.counted().get("create_event", 0) == before:
        await asyncio.sleep(0.01)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    vendor.control.clear_faults()


async def test_a_repeated_delivery_asks_nothing(msp: Tenant, vendor: Vendor) -> None:
    """What our row shows already is not written again."""
    event = await msp.stored(entry(await msp.technician(DANA)))
    await msp.tell(event)
    asked = len(vendor.asked())
    await msp.tell(event, attempt=2)
    assert len(vendor.asked()) == asked
    assert vendor.counted() == {"create_event": 1}


@pytest.mark.parametrize("fault", ["reset_after", "garbage", "truncate"])
async def test_a_lost_answer_creates_no_second_event(msp: Tenant, vendor: Vendor, fault: str) -> None:
    """The event is there although its answer was lost; the next try finds it."""
    event = await msp.stored(entry(await msp.technician(DANA)))
    vendor.control.add_fault(fault, method="POST", path_regex="/events$", times=3)
    with suppress(ActionFailure):
        await msp.tell(event)
    await msp.tell(event, attempt=2)
    assert vendor.counted() == {"create_event": 1}
    assert [one.external_id for one in await msp.book.events_of(event.entry.id)] == [vendor.only(DANA)["id"]]


@pytest.mark.parametrize("remembers", [True, False])
async def test_nothing_is_doubled_when_a_process_dies_before_its_row(
    msp: Tenant, vendor: Vendor, remembers: bool
) -> None:
    """Delivered again, the event is found, also when Graph has forgotten the transaction."""
    vendor.control.patch_state(settings={"remembers": remembers})
    event = await msp.stored(entry(await msp.technician(DANA)))
    await cut_off(msp, vendor, event)
    assert [one.external_id for one in await msp.book.events_of(event.entry.id)] == [""]
    await msp.tell(event, attempt=2)
    assert [one.external_id for one in await msp.book.events_of(event.entry.id)] == [vendor.only(DANA)["id"]]


async def test_an_event_that_we_never_learned_of_goes_with_its_entry(msp: Tenant, vendor: Vendor) -> None:
    """The process died after creating it; then the entry was given to somebody else: it is found and deleted."""
    dana, lee = await msp.technician(DANA), await msp.technician(LEE)
    event = await msp.stored(entry(dana))
    await cut_off(msp, vendor, event)
    await msp.changed(event.entry, assignees=(lee,))
    assert [one["owner"] for one in vendor.events()] == [LEE]
    assert len(await msp.book.events_of(event.entry.id)) == 1


async def test_an_event_that_a_person_moved_is_kept_right(msp: Tenant, vendor: Vendor) -> None:
    """In another calendar it has another id; it is found by what it carries, changed and at last deleted there."""
    made = await msp.book_in(entry(await msp.technician(LEE)))
    vendor.control.patch_state(move_events={vendor.only(LEE)["id"]: DISPATCH})
    made = await msp.changed(made, title="Replace router")
    moved = vendor.only(LEE)
    assert (moved["calendar"], moved["content"]["subject"]) == (DISPATCH, "Replace router")
    await msp.changed(made, "schedule_entry.cancelled", status="cancelled")
    assert vendor.events() == []


@pytest.mark.parametrize("settings", [{}, {"duplicate_status": 409}, {"tells_existing": False}])
async def test_a_used_transaction_leads_to_its_event(msp: Tenant, vendor: Vendor, settings: dict[str, object]) -> None:
    """When the look-up does not show the event yet and the entry has changed meanwhile, Graph's refusal names it."""
    vendor.control.patch_state(settings=settings)
    event = await msp.stored(entry(await msp.technician(DANA)))
    await cut_off(msp, vendor, event)
    await msp.stored(replace(event.entry, title="Replace router"), "schedule_entry.updated")
    vendor.control.add_fault("status", method="GET", path_regex="/events$", status=200, body={"value": []})
    await msp.tell(event, attempt=2)
    assert vendor.only(DANA)["content"]["subject"] == "Replace router"


async def test_a_late_event_does_not_bring_back_the_past(msp: Tenant, vendor: Vendor) -> None:
    """An event that was given up and is tried again after later ones changes nothing; of a cancelled entry neither."""
    first = await msp.stored(entry(await msp.technician(DANA)))
    made = await msp.changed(first.entry, title="Replace router")
    await msp.tell(first)
    assert vendor.only(DANA)["content"]["subject"] == "Replace router"
    await msp.changed(made, "schedule_entry.cancelled", status="cancelled")
    await msp.tell(first)
    assert vendor.events() == []


async def test_an_entry_that_changes_meanwhile_is_written_again(msp: Tenant, vendor: Vendor) -> None:
    """A slow delivery of the old state, begun before the new one was told, ends with the new one."""
    made = await msp.book_in(entry(await msp.technician(DANA)))
    old = await msp.stored(replace(made, title="Replace router"), "schedule_entry.updated")
    vendor.control.add_fault("delay", method="PATCH", seconds=1, after=False)
    slow = asyncio.create_task(msp.tell(old))
    while vendor.asked()[-1] != "PATCH":
        await asyncio.sleep(0.01)
    await msp.changed(old.entry, title="Replace firewall")
    await slow
    assert vendor.only(DANA)["content"]["subject"] == "Replace firewall"


@pytest.mark.parametrize("settings", [{}, {"remembers_deleted": False}])
async def test_an_event_that_a_person_deleted_is_created_anew(
    msp: Tenant, vendor: Vendor, settings: dict[str, object]
) -> None:
    """With the next change; under another transaction, since Graph may remember the first."""
    vendor.control.patch_state(settings=settings)
    made = await msp.book_in(entry(await msp.technician(DANA)))
    vendor.control.patch_state(delete_events=[vendor.only(DANA)["id"]])
    await msp.changed(made, title="Replace router")
    event = vendor.only(DANA)
    assert event["content"]["subject"] == "Replace router"
    assert [one.external_id for one in await msp.book.events_of(made.id)] == [event["id"]]


async def test_an_event_deleted_before_we_learned_of_it_is_created_anew(msp: Tenant, vendor: Vendor) -> None:
    """The transaction was used, its event is gone: another transaction makes one."""
    event = await msp.stored(entry(await msp.technician(DANA)))
    await cut_off(msp, vendor, event)
    vendor.control.patch_state(delete_events=[vendor.only(DANA)["id"]])
    await msp.tell(event, attempt=2)
    assert len(vendor.events(DANA)) == 1


async def test_an_event_that_was_deleted_already_is_deleted(msp: Tenant, vendor: Vendor) -> None:
    """A 404 on deleting is what was wanted."""
    made = await msp.book_in(entry(await msp.technician(DANA)))
    vendor.control.patch_state(delete_events=[vendor.only(DANA)["id"]])
    await msp.changed(made, "schedule_entry.cancelled", status="cancelled")
    assert await msp.book.events_of(made.id) == []


async def test_a_lost_answer_to_deleting_is_settled_by_the_next_try(msp: Tenant, vendor: Vendor) -> None:
    """The event is deleted once, and the one at the new assignee's is created once."""
    dana, lee = await msp.technician(DANA), await msp.technician(LEE)
    made = await msp.book_in(entry(dana))
    event = await msp.stored(replace(made, assignees=(lee,)), "schedule_entry.updated")
    vendor.control.add_fault("reset_after", method="DELETE", times=3)
    with suppress(ActionFailure):
        await msp.tell(event)
    await msp.tell(event, attempt=2)
    assert vendor.counted() == {"create_event": 2, "delete_event": 1}
