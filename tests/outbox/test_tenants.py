"""What a caller may see and do of the outbox."""

from collections.abc import AsyncIterator

import grpc
import pytest

from tests.outbox.desk import Desk
from tests.regressions.calling import holding, new_key
from tests.support.grpc_errors import refused
from tests.support.served import Caller, Served

pytestmark = pytest.mark.anyio

FORBIDDEN, MISSING = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.NOT_FOUND


@pytest.fixture
async def umbra(house: Served, desk: Desk, receiver_url: str) -> AsyncIterator[Desk]:
    """A second tenant with a key of its own; the first tenant has a dead letter."""
    other = await Desk.open(house.caller, house.fresh, receiver_url, slug="umbra", hook="other")
    desk.receiver.add_fault("status", status=410)
    await desk.settled(await desk.book())
    operator = await new_key(house.caller)
    desk.caller = Caller(house.handle.target, operator)
    other.caller = Caller(house.handle.target, await new_key(desk.caller, tenants=["umbra"]))
    yield other
    await desk.caller.close()
    await other.caller.close()
    await other.owner.close()


async def test_events_of_another_tenant_are_out_of_reach(desk: Desk, umbra: Desk) -> None:
    """Naming the other tenant is forbidden; naming its entry and event in one's own finds and changes nothing."""
    (letter,) = await desk.dead()
    assert await umbra.dead() == []
    with refused("ENTRY_UNKNOWN", MISSING):
        await umbra.sync(letter.entry_id)
    with refused("DEAD_LETTER_UNKNOWN", MISSING):
        await umbra.retry(letter.event_id)
    umbra.slug = "acme"
    for attempt in (umbra.dead(), umbra.sync(letter.entry_id), umbra.retry(letter.event_id)):
        with refused("TENANT_FORBIDDEN", FORBIDDEN):
            await attempt
    assert await desk.dead() == [letter]
    assert umbra.received() == []


async def test_reading_needs_a_right_and_retrying_another_one(house: Served, desk: Desk, umbra: Desk) -> None:
    """`dispatch.read` shows where events are, only `dispatch` has them tried again; other rights do neither."""
    assert umbra.slug == "umbra"
    (letter,) = await desk.dead()
    target, everything = house.handle.target, desk.caller
    async with holding(target, everything, permissions=["dispatch.read"]) as reader:
        desk.caller = reader
        assert len(await desk.dead()) == len(await desk.sync(letter.entry_id)) == 1
        with refused("PERMISSION_DENIED", FORBIDDEN):
            await desk.retry(letter.event_id)
    async with holding(target, everything, permissions=["scheduling.*"]) as stranger:
        desk.caller = stranger
        for attempt in (desk.dead(), desk.sync(letter.entry_id), desk.retry(letter.event_id)):
            with refused("PERMISSION_DENIED", FORBIDDEN):
                await attempt
    async with holding(target, everything, permissions=["dispatch"]) as dispatcher:
        desk.caller = dispatcher
        assert (await desk.retry(letter.event_id)).event_id == letter.event_id
    desk.caller = everything


async def test_calls_leave_an_audit_row(house: Served, desk: Desk, umbra: Desk) -> None:
    """Who had a dead letter tried again stands in the audit log of its tenant."""
    assert umbra.slug == "umbra"
    await desk.retry((await desk.dead())[0].event_id)
    await house.handle.house.audit.flush()
    rows = await desk.owner.fetch(
        "SELECT outcome, caller FROM audit_log WHERE tenant = $1 AND operation LIKE '%/RetryDeadLetter'", desk.tenant
    )
    assert [row["outcome"] for row in rows] == ["OK"]
    assert rows[0]["caller"].startswith("key:")
