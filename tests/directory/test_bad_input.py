"""What the directory refuses: every field at fault is named, and nothing is stored."""

import asyncio
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from server.gen.patchbay.v1 import directory_pb2 as pb
from tests.directory.conftest import Office, new_id, upsert

pytestmark = pytest.mark.anyio

A, B, C = new_id(), new_id(), new_id()


def items(*rows: dict[str, Any]) -> pb.UpsertWorkItemsRequest:
    """Returns the request that upserts work items."""
    return pb.UpsertWorkItemsRequest(work_items=[pb.DirectoryWorkItem(**row) for row in rows])


def person(id: str = A, **fields: Any) -> dict[str, Any]:
    """Returns a user that can be stored, with changes."""
    return {"id": id, "username": f"u-{id}", **fields}


BAD: list[tuple[str, Message, list[str]]] = [
    ("UpsertUsers", upsert(), ["users"]),
    ("UpsertUsers", upsert(*[person(new_id()) for _ in range(1001)]), ["users"]),
    ("UpsertUsers", upsert(person(B), person("17")), ["users[1].id"]),
    ("UpsertUsers", upsert(person(), person(B), person(A.upper(), username="x")), ["users[2].id"]),
    ("UpsertUsers", upsert(person(), person(B, username=f"u-{A}")), ["users[1].username"]),
    ("UpsertUsers", upsert(person(username="a@b.test"), {"id": B, "email": "a@b.test"}), ["users[1].username"]),
    ("UpsertUsers", upsert({"id": A}), ["users[0].username"]),
    ("UpsertUsers", upsert({"id": A, "email": ""}), ["users[0].username"]),
    ("UpsertUsers", upsert(person(username=" ")), ["users[0].username"]),
    ("UpsertUsers", upsert(person(email="dana")), ["users[0].email"]),
    ("UpsertUsers", upsert(person(user_type="robot")), ["users[0].user_type"]),
    ("UpsertUsers", upsert(person(roles=["technician", " "])), ["users[0].roles[1]"]),
    ("UpsertUsers", upsert(person(), person(B, timezone="Mars/Olympus")), ["users[1].timezone"]),
    ("UpsertUsers", upsert(person(timezone="../../etc/passwd")), ["users[0].timezone"]),
    ("UpsertUsers", upsert(person(timezone="X"), person(timezone="Y")), ["users[1].id", "users[1].username"]),
    ("UpsertUsers", upsert(person(), person(B, last_name="a\0b")), ["users[1].last_name"]),
    ("UpsertUsers", upsert(person(roles=["a\0b"])), ["users[0].roles"]),
    ("ListUsers", pb.ListUsersRequest(page_size=501), ["page_size"]),
    ("ListUsers", pb.ListUsersRequest(page_token="x"), ["page_token"]),
    ("ListUsers", pb.ListUsersRequest(page_token="YQBi"), ["page_token"]),
    ("ListUsers", pb.ListUsersRequest(query="a\0"), ["query"]),
    ("DeactivateUser", pb.DeactivateUserRequest(), ["user_id"]),
    ("LinkAccount", pb.LinkAccountRequest(user_id=A, provider="A B", account_id="x"), ["provider"]),
    ("LinkAccount", pb.LinkAccountRequest(user_id=A, provider="google"), ["account_id"]),
    ("LinkAccount", pb.LinkAccountRequest(user_id=A, provider="g", account_id="x", email="y"), ["email"]),
    ("SetCalendar", pb.SetCalendarRequest(user_id="dana"), ["user_id"]),
    ("UpsertWorkItems", items({"type": "ticket", "id": A}), ["work_items[0].title"]),
    ("UpsertWorkItems", items({"type": "order", "id": A, "title": "x"}), ["work_items[0].type"]),
    ("UpsertWorkItems", items(*[{"type": "ticket", "id": A, "title": "x"}] * 2), ["work_items[1].id"]),
    (
        "UpsertWorkItems",
        items({"type": "project_task", "id": A, "title": "x", "number": "1"}),
        ["work_items[0].number"],
    ),
    (
        "UpsertWorkItems",
        items(*({"type": "ticket", "id": id, "title": "x", "number": "T-1"} for id in (A, B))),
        ["work_items[1].number"],
    ),
    ("ListWorkItems", pb.ListWorkItemsRequest(page_token="YQBiAGM="), ["page_token"]),
]


@pytest.mark.parametrize(("method", "request_", "fields"), BAD, ids=[f"{one[0]}-{one[2][-1]}" for one in BAD])
async def test_bad_input_names_its_fields(office: Office, method: str, request_: Message, fields: list[str]) -> None:
    """Each mistake is INVALID_ARGUMENT with the paths of the fields; no user and no work item is stored."""
    await office.put(person(C, username="c"))
    status = grpc.StatusCode.INVALID_ARGUMENT, "INPUT_INVALID"
    assert await office.call.reason(method, request_) == status
    found = await office.call.violations(method, request_)
    assert set(fields) <= set(found)
    assert [user.id for user in await office.users()] == [C]
    assert not (await office.call("ListWorkItems")).work_items


async def test_all_mistakes_are_told_at_once(office: Office) -> None:
    """A request with many bad users names each of them, and stores the good ones neither."""
    request = upsert(person(), *(person(new_id(), timezone=f"Mars/{n}") for n in range(7)))
    assert await office.call.violations("UpsertUsers", request) == [f"users[{n}].timezone" for n in range(1, 8)]
    assert "and 2 more" in str((await office.call.refusal("UpsertUsers", request)).details())
    assert await office.users() == []


async def test_a_login_name_of_another_user_is_taken(office: Office) -> None:
    """The message names who has it; giving it away in the same request frees it."""
    await office.put(person(A, username="dana"))
    request = upsert(person(B), person(C, username="dana"))
    assert await office.call.violations("UpsertUsers", request) == ["users[1].username"]
    assert A in str((await office.call.refusal("UpsertUsers", request)).details())
    assert [user.id for user in await office.users()] == [A]
    await office.put(person(C, username="dana"), person(A, username="dana.r"))
    assert {user.username for user in await office.users()} == {"dana", "dana.r"}


async def test_one_login_name_goes_to_one_of_many_callers(office: Office) -> None:
    """Of parallel callers that give one name to different users one wins; the others are told the field."""
    calls = (office.call("UpsertUsers", upsert(person(new_id(), username="wanted"))) for _ in range(16))
    answers = await asyncio.gather(*calls, return_exceptions=True)
    errors = [answer for answer in answers if isinstance(answer, grpc.aio.AioRpcError)]
    assert len(errors) == 15
    assert {error.code() for error in errors} == {grpc.StatusCode.INVALID_ARGUMENT}
    assert len(await office.users()) == 1


async def test_a_ticket_number_of_another_ticket_is_taken(office: Office) -> None:
    """A number belongs to one ticket of the tenant; two tickets of a request can swap theirs."""
    first, second = ({"type": "ticket", "id": id, "title": "x", "number": f"T-{id}"} for id in (A, B))
    await office.call("UpsertWorkItems", items(first, second))
    taken = items({**first, "id": C})
    assert await office.call.violations("UpsertWorkItems", taken) == ["work_items[0].number"]
    swapped = items({**first, "number": second["number"]}, {**second, "number": first["number"]})
    answer = await office.call("UpsertWorkItems", swapped)
    assert (answer.created, answer.updated) == (0, 2)


async def test_users_that_do_not_exist_are_not_found(office: Office) -> None:
    """Deactivating, linking and calendars need a user."""
    for method, request in (
        ("DeactivateUser", pb.DeactivateUserRequest(user_id=A)),
        ("LinkAccount", pb.LinkAccountRequest(user_id=A, provider="google", account_id="x")),
        ("SetCalendar", pb.SetCalendarRequest(user_id=A, connected=True)),
    ):
        assert await office.call.reason(method, request) == (grpc.StatusCode.NOT_FOUND, "USER_UNKNOWN")


@pytest.mark.parametrize("bad", [{"timezone": "Mars"}, {"email": "nobody"}])
async def test_a_thousand_mistakes_are_still_an_answer(office: Office, bad: dict[str, str]) -> None:
    """What is told of them fits into the trailers of a call: the first ones, in their order."""
    request = upsert(*(person(new_id(), **bad) for _ in range(1000)))
    found = await office.call.violations("UpsertUsers", request)
    assert len(found) > 10
    assert found == [f"users[{n}].{next(iter(bad))}" for n in range(len(found))]
