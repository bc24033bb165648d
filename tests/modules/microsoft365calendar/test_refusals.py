"""What Graph refuses, and what a person is told to do about it."""

import pytest

from server.modules.microsoft365calendar import MODULE
from server.sdk import ActionFailure, Deadline, Effect
from server.sdk.masking import Masker
from server.sdk.scope import CallScope, entered
from tests.modules.microsoft365calendar.world import BOSS, DANA, KIM, LEE, Tenant, Vendor, entry

pytestmark = pytest.mark.anyio


async def noted(msp: Tenant) -> list[tuple[str, str | None]]:
    """Status and note of the tenant's calendars, by user."""
    rows = await msp.sql("SELECT status, error_message FROM calendar_providers WHERE tenant = $1 ORDER BY created_at")
    return [(row["status"], row["error_message"]) for row in rows]


@pytest.mark.parametrize(("account", "reason"), [(KIM, "MAILBOX_NOT_FOUND"), (BOSS, "VENDOR_PERMISSION_DENIED")])
async def test_a_mailbox_out_of_reach_is_told_with_a_remedy(
    msp: Tenant, vendor: Vendor, account: str, reason: str
) -> None:
    """The failure is no passing one, says what to do, and the calendar bears a note; the others were written."""
    users = [await msp.technician(account), await msp.technician(DANA)]
    failure = (await msp.refused(await msp.stored(entry(*users)))).failure
    assert (failure.reason, failure.retryable, failure.effect) == (reason, False, Effect.EFFECT_NONE)
    assert failure.remedy.text
    assert len(vendor.events(DANA)) == 1
    assert await noted(msp) == [("error", failure.message), ("connected", None)]


async def test_the_note_goes_when_the_calendar_can_be_written(msp: Tenant, vendor: Vendor) -> None:
    """After the licence was given the same event arrives."""
    event = await msp.stored(entry(await msp.technician(KIM)))
    await msp.refused(event)
    vendor.control.patch_state(people={KIM: {"mailbox": "exchange"}})
    await msp.tell(event, attempt=2)
    assert await noted(msp) == [("connected", None)]


async def test_an_unknown_person_is_one_without_a_mailbox(msp: Tenant, vendor: Vendor) -> None:
    """A linked id that the directory does not have."""
    user = await msp.technician("00000000-0000-4000-8000-000000000000")
    assert (await msp.refused(await msp.stored(entry(user)))).failure.reason == "MAILBOX_NOT_FOUND"


async def test_a_calendar_that_is_gone_is_told(msp: Tenant) -> None:
    """The chosen calendar does not exist at Microsoft."""
    user = await msp.technician(LEE, calendar="AAMk-gone=")
    failure = (await msp.refused(await msp.stored(entry(user)))).failure
    assert (failure.reason, failure.retryable) == ("CALENDAR_NOT_FOUND", False)
    assert "default" in failure.remedy.text


async def test_an_event_goes_with_its_mailbox(msp: Tenant, vendor: Vendor) -> None:
    """Cancelling what was in a mailbox that is gone needs nobody."""
    made = await msp.book_in(entry(await msp.technician(DANA)))
    vendor.control.patch_state(people={DANA: {"mailbox": "none"}})
    await msp.changed(made, "schedule_entry.cancelled", status="cancelled")
    assert await msp.book.events_of(made.id) == []


async def test_throttling_passes_with_the_wait_that_was_asked_for(msp: Tenant, vendor: Vendor) -> None:
    """A 429 that lasts is told as retryable with Graph's own advice."""
    event = await msp.stored(entry(await msp.technician(DANA)))
    body = {"error": {"code": "ApplicationThrottled", "message": "Application is over its MailboxConcurrency limit."}}
    vendor.control.add_fault("status", path_regex="/graph/", status=429, body=body, headers={"Retry-After": "40"})
    failure = (await msp.refused(event)).failure
    assert (failure.reason, failure.retryable, failure.retry_after.seconds) == ("RATE_LIMITED", True, 40)
    await msp.tell(event, attempt=2)
    assert len(vendor.events(DANA)) == 1


async def test_a_passing_trouble_is_the_one_that_is_told(msp: Tenant, vendor: Vendor) -> None:
    """When one calendar refuses for good and another for now, the event is to be tried again."""
    event = await msp.stored(entry(await msp.technician(KIM), await msp.technician(DANA)))
    vendor.control.add_fault("status", path_regex=f"{DANA}/", status=503, times=0)
    failure = (await msp.refused(event)).failure
    assert (failure.reason, failure.retryable) == ("VENDOR_UNAVAILABLE", True)


async def test_a_token_that_ended_is_replaced(msp: Tenant, vendor: Vendor) -> None:
    """After a 401 another one is obtained, and there is one event."""
    made = await msp.book_in(entry(await msp.technician(DANA)))
    vendor.control.patch_state(expire_tokens=True)
    await msp.changed(made, title="Replace router")
    assert vendor.only(DANA)["content"]["subject"] == "Replace router"


async def test_missing_consent_is_told_with_a_remedy(msp: Tenant, vendor: Vendor) -> None:
    """An app without `Calendars.ReadWrite` may not write."""
    vendor.control.patch_state(settings={"may_write": False})
    failure = (await msp.refused(await msp.stored(entry(await msp.technician(DANA))))).failure
    assert failure.reason == "VENDOR_PERMISSION_DENIED"
    assert "Calendars.ReadWrite" in failure.remedy.text


@pytest.mark.parametrize("settings", [{"secret_expired": True}])
async def test_expired_secrets_are_told(msp: Tenant, vendor: Vendor, settings: dict[str, object]) -> None:
    """The connection test says that the secret has expired."""
    vendor.control.patch_state(settings=settings)
    assert MODULE.check is not None
    with pytest.raises(ActionFailure) as caught:
        async with entered(CallScope(Deadline.after(20), Masker())):
            await MODULE.check(msp.graph)
    assert caught.value.failure.reason == "CREDENTIALS_EXPIRED"


@pytest.mark.parametrize("calendar", ["..", "../../me", "x?$top=1", "a/b"])
async def test_an_id_of_a_calendar_cannot_lead_elsewhere(msp: Tenant, vendor: Vendor, calendar: str) -> None:
    """It names one segment of a path or is refused; no other path of Graph is written."""
    user = await msp.technician(LEE, calendar=calendar)
    await msp.refused(await msp.stored(entry(user)))
    asked = [one for one in vendor.control.requests(100) if one["path"].startswith("/graph/")]
    assert {one["method"] for one in asked if not one["path"].startswith(f"/graph/v1.0/users/{LEE}/calendars/")} <= {
        "GET"
    }
    assert vendor.events() == []
