"""The directory and the board at the same time."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from server.gen.patchbay.v1 import directory_pb2, executor_pb2
from tests.scheduling.office import Office, window
from tests.support.served import TENANT

pytestmark = pytest.mark.anyio

SUCCEEDED = executor_pb2.EXECUTION_STATE_SUCCEEDED


async def directory(office: Office, method: str, **asked: Any) -> Any:
    """Calls the Directory service."""
    request = getattr(directory_pb2, f"{method}Request")(tenant=TENANT, **asked)
    return await office.caller(f"Directory/{method}", request)


async def hired(office: Office, *ids: str) -> None:
    """Gives users to the directory."""
    users = [
        directory_pb2.DirectoryUser(id=id, username=id, roles=["technician"], last_name=str(uuid4())) for id in ids
    ]
    await directory(office, "UpsertUsers", users=users)


async def test_who_was_given_to_the_directory_can_be_booked(office: Office) -> None:
    """User and ticket come by the service; booking takes them, until the user is inactive."""
    user, ticket = str(uuid4()), str(uuid4())
    await hired(office, user)
    item = directory_pb2.DirectoryWorkItem(type="ticket", id=ticket, number="T-9", title="Printer")
    await directory(office, "UpsertWorkItems", work_items=[item])
    booked = await office.book(user, link={"type": "ticket", "id": ticket})
    assert (booked["assigned_user_ids"], booked["work_item_id"]) == ([user], ticket)
    answer = await directory(office, "DeactivateUser", user_id=user)
    assert answer.upcoming_entries == 1
    wanted = {"assigned_user_ids": [user], "title": "x", "window": window(5, 6)}
    assert (await office.failed("create_entry", wanted)).reason == "USER_INACTIVE"


async def test_a_booking_is_before_or_after_the_end_of_a_user(office: Office) -> None:
    """Bookings beside a deactivation: those that succeed are exactly the ones that its answer counts."""
    user = str(uuid4())
    await hired(office, user)

    async def booking(slot: int) -> executor_pb2.Execution:
        wanted = {"assigned_user_ids": [user], "title": "x", "window": window(slot, slot + 1)}
        return await office.run("create_entry", wanted)

    bookings = [asyncio.create_task(booking(slot)) for slot in range(16)]
    await asyncio.wait(bookings, return_when=asyncio.FIRST_COMPLETED)
    answer = await directory(office, "DeactivateUser", user_id=user)
    executions = [await one for one in bookings]
    succeeded = [one for one in executions if one.state == SUCCEEDED]
    assert {one.failure.reason for one in executions if one.state != SUCCEEDED} <= {"USER_INACTIVE"}
    assert answer.upcoming_entries == len(succeeded) == await office.count("schedule_entries")


async def test_changing_people_and_booking_them_never_wait_in_a_circle(office: Office) -> None:
    """Upserts of all users, in changing order, beside bookings of all users: everything succeeds."""
    users = [str(uuid4()) for _ in range(6)]
    await hired(office, *users)
    tasks = [
        *(hired(office, *(users if turn % 2 else users[::-1])) for turn in range(10)),
        *(office.book(*(users[::-1] if slot % 2 else users), start=slot, end=slot + 1) for slot in range(10)),
    ]
    await asyncio.gather(*tasks)
    assert await office.count("schedule_entries") == 10
