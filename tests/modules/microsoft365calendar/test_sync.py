"""An entry's way through calendars: created, changed, moved to somebody else, cancelled."""

from datetime import timedelta

import pytest

from tests.modules.microsoft365calendar.world import DANA, DISPATCH, LEE, MONDAY, SAM, Tenant, Vendor, entry

pytestmark = pytest.mark.anyio


async def test_an_entry_appears_in_the_calendars_of_all_assignees(msp: Tenant, vendor: Vendor) -> None:
    """Each mailbox has one event: title, notes, times in UTC, busy."""
    users = [await msp.technician(account) for account in (DANA, LEE)]
    await msp.book_in(entry(*users, notes="Rack 3"))
    assert sorted(one["owner"] for one in vendor.events()) == [DANA, LEE]
    content = vendor.only(DANA)["content"]
    assert (content["subject"], content["body"]) == ("Replace switch", {"contentType": "text", "content": "Rack 3"})
    assert content["start"] == {"dateTime": "2027-03-01T08:00:00", "timeZone": "UTC"}
    assert content["end"] == {"dateTime": "2027-03-01T10:00:00", "timeZone": "UTC"}
    assert (content["showAs"], content["sensitivity"], content["recurrence"]) == ("busy", "normal", None)


async def test_only_connected_calendars_of_linked_people_are_written(msp: Tenant, vendor: Vendor) -> None:
    """A user without an account, one without a calendar, and one who switched it off get no event."""
    off = await msp.technician(SAM)
    await msp.sql("UPDATE calendar_providers SET is_active = false WHERE tenant = $1 AND user_id = $2", off)
    users = [await msp.technician(None), await msp.technician(LEE, connected=False), off, await msp.technician(DANA)]
    await msp.book_in(entry(*users))
    assert [one["owner"] for one in vendor.events()] == [DANA]


async def test_a_chosen_calendar_is_written(msp: Tenant, vendor: Vendor) -> None:
    """The event is in that calendar, not in the default one."""
    await msp.book_in(entry(await msp.technician(LEE, calendar=DISPATCH)))
    assert vendor.only(LEE)["calendar"] == DISPATCH


async def test_a_change_changes_the_event(msp: Tenant, vendor: Vendor) -> None:
    """The same event has the new title and times."""
    made = await msp.book_in(entry(await msp.technician(DANA)))
    first = vendor.only(DANA)["id"]
    await msp.changed(made, title="Replace router", start=MONDAY + timedelta(days=1), end=MONDAY + timedelta(days=2))
    event = vendor.only(DANA)
    assert (event["id"], event["content"]["subject"]) == (first, "Replace router")
    assert event["content"]["start"]["dateTime"] == "2027-03-02T08:00:00"


async def test_reassigning_moves_the_event(msp: Tenant, vendor: Vendor) -> None:
    """It is deleted at the one and created at the other; coming back, it is created again."""
    dana, lee = await msp.technician(DANA), await msp.technician(LEE)
    made = await msp.book_in(entry(dana))
    made = await msp.changed(made, assignees=(lee,))
    assert [one["owner"] for one in vendor.events()] == [LEE]
    await msp.changed(made, assignees=(dana,))
    assert [one["owner"] for one in vendor.events()] == [DANA]


@pytest.mark.parametrize("status", ["cancelled", "Canceled"])
async def test_a_cancelled_entry_leaves_the_calendar(msp: Tenant, vendor: Vendor, status: str) -> None:
    """The event is deleted, and our row of it."""
    made = await msp.book_in(entry(await msp.technician(DANA)))
    await msp.changed(made, "schedule_entry.cancelled", status=status)
    assert vendor.events() == []
    assert await msp.book.events_of(made.id) == []


async def test_what_is_done_stays_and_takes_up_no_time(msp: Tenant, vendor: Vendor) -> None:
    """A completed entry's event shows as free."""
    made = await msp.book_in(entry(await msp.technician(DANA)))
    await msp.changed(made, status="completed")
    assert vendor.only(DANA)["content"]["showAs"] == "free"


async def test_an_entry_that_loses_its_time_leaves_the_calendar(msp: Tenant, vendor: Vendor) -> None:
    """Without times there is no event; with times again there is one."""
    made = await msp.book_in(entry(await msp.technician(DANA)))
    made = await msp.changed(made, start=None, end=None)
    assert vendor.events() == []
    await msp.changed(made, start=MONDAY, end=MONDAY + timedelta(hours=1))
    assert len(vendor.events(DANA)) == 1


async def test_a_private_entry_is_private_there(msp: Tenant, vendor: Vendor) -> None:
    """The assignee sees the title; others who may see the calendar do not."""
    await msp.book_in(entry(await msp.technician(DANA), title="Doctor", is_private=True))
    content = vendor.only(DANA)["content"]
    assert (content["subject"], content["sensitivity"]) == ("Doctor", "private")


async def test_another_linked_account_gets_the_event(msp: Tenant, vendor: Vendor) -> None:
    """With the next change the event is deleted at the old account and created at the new one."""
    dana = await msp.technician(DANA)
    made = await msp.book_in(entry(dana))
    await msp.link(dana, SAM)
    await msp.changed(made, title="Replace router")
    assert [one["owner"] for one in vendor.events()] == [SAM]


async def test_a_disconnected_calendar_is_left_at_the_next_change(msp: Tenant, vendor: Vendor) -> None:
    """An event that nobody keeps right any more is deleted."""
    made = await msp.book_in(entry(await msp.technician(DANA)))
    await msp.sql("UPDATE calendar_providers SET is_active = false WHERE tenant = $1")
    await msp.changed(made, title="Replace router")
    assert vendor.events() == []


async def test_two_users_of_one_mailbox_share_an_event(msp: Tenant, vendor: Vendor) -> None:
    """A calendar has one event of an entry; it stays while one of them is assigned, and goes with the last."""
    both = [await msp.technician(DANA), await msp.technician(DANA)]
    made = await msp.book_in(entry(*both))
    assert len(vendor.events(DANA)) == 1
    for left in ((both[0],), (both[1],)):
        made = await msp.changed(made, assignees=left)
        assert len(vendor.events(DANA)) == 1
    await msp.changed(made, "schedule_entry.cancelled", status="cancelled")
    assert vendor.events() == []


async def test_long_and_strange_texts_arrive(msp: Tenant, vendor: Vendor) -> None:
    """A title is cut at 255 characters; line breaks and marks of HTML stay text."""
    await msp.book_in(entry(await msp.technician(DANA), title="x" * 300, notes="<b>\r\nBEGIN:VEVENT"))
    content = vendor.only(DANA)["content"]
    assert (len(content["subject"]), content["body"]["content"]) == (255, "<b>\r\nBEGIN:VEVENT")


async def test_tenants_do_not_touch_each_others_calendars(msp: Tenant, rival: Tenant, vendor: Vendor) -> None:
    """An event about another tenant's entry writes nothing, though both are connected to the same mailboxes."""
    dana = await msp.technician(DANA)
    theirs = await msp.stored(entry(dana))
    await rival.tell(theirs)
    assert vendor.events() == []
    await msp.tell(theirs)
    await rival.technician(DANA)
    await rival.tell(theirs)
    assert len(vendor.events(DANA)) == 1
    assert await rival.book.events_of(theirs.entry.id) == []
    assert await rival.book.connected([dana]) == []
