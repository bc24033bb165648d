"""Tickets and project tasks of the directory."""

import pytest

from server.gen.patchbay.v1 import directory_pb2 as pb
from server.store.database import Database
from server.store.schedule import Board
from tests.directory.conftest import Office, new_id

pytestmark = pytest.mark.anyio

TICKET, TASK = new_id(), new_id()
BOTH = [
    pb.DirectoryWorkItem(type="ticket", id=TICKET, number="T-17", title="Printer is on fire"),
    pb.DirectoryWorkItem(type="project_task", id=TASK, title="Move the racks", closed=True),
]


async def put(office: Office, *items: pb.DirectoryWorkItem, **more: bool) -> pb.UpsertWorkItemsResponse:
    """Upserts work items."""
    request = pb.UpsertWorkItemsRequest(work_items=items, **more)
    answer: pb.UpsertWorkItemsResponse = await office.call("UpsertWorkItems", request)
    return answer


async def listed(office: Office, **asked: object) -> list[pb.DirectoryWorkItem]:
    """Lists work items."""
    return list((await office.call("ListWorkItems", pb.ListWorkItemsRequest(**asked))).work_items)


async def test_work_items_come_back_as_given(office: Office, database: Database) -> None:
    """Both kinds are stored, listed by kind, and can be linked on the board."""
    answer = await put(office, *BOTH)
    assert (answer.created, answer.updated) == (2, 0)
    assert await listed(office) == BOTH[::-1]
    board = Board(database, office.tenant)
    assert await board.has_work_item("ticket", TICKET)
    assert await board.has_work_item("project_task", TASK)
    assert not await board.has_work_item("ticket", TASK)


async def test_a_later_upsert_replaces_all_fields(office: Office) -> None:
    """Unset fields are empty ones; a ticket without a number has its id for one."""
    await put(office, *BOTH)
    answer = await put(office, pb.DirectoryWorkItem(type="ticket", id=TICKET.upper(), title=" Out ", closed=True))
    assert (answer.created, answer.updated) == (0, 1)
    assert (await listed(office))[1] == pb.DirectoryWorkItem(
        type="ticket", id=TICKET, number=TICKET, title="Out", closed=True
    )


async def test_one_id_may_be_that_of_a_ticket_and_of_a_task(office: Office) -> None:
    """Kind and id together name a work item."""
    answer = await put(office, *(pb.DirectoryWorkItem(type=kind, id=TICKET, title="x") for kind in KINDS))
    assert answer.created == 2
    assert [item.type for item in await listed(office)] == KINDS


KINDS = ["project_task", "ticket"]


async def test_checking_only_changes_nothing(office: Office) -> None:
    """`validate_only` counts as an upsert does, and stores nothing."""
    answer = await put(office, *BOTH, validate_only=True)
    assert answer.created == 2
    assert await listed(office) == []


async def test_pages_follow_each_other(office: Office) -> None:
    """No item is told twice or left out, also where titles are equal or as long as can be."""
    titles = ["b", "a", "B", "a", "ß" * 500, "ü" * 500]
    await put(
        office,
        *(pb.DirectoryWorkItem(type=kind, id=new_id(), title=title) for title in titles for kind in KINDS),
    )
    everything = await listed(office)
    found: list[pb.DirectoryWorkItem] = []
    token = ""
    while not found or token:
        answer = await office.call("ListWorkItems", pb.ListWorkItemsRequest(page_size=1, page_token=token))
        found += answer.work_items
        token = answer.next_page_token
    assert found == everything
    assert len(found) == 12


async def test_work_items_are_found_by_what_people_type(office: Office) -> None:
    """Number and title are searched in any case; a wildcard is a character like any other."""
    await put(office, *BOTH)
    found = {text: [item.id for item in await listed(office, query=text)] for text in ("t-1", "RACKS", "_")}
    assert found == {"t-1": [TICKET], "RACKS": [TASK], "_": []}
