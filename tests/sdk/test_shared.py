"""What modules share: handlers of a file, rows by name, what is kept for a minute, sessions."""

import asyncio
import itertools
from types import ModuleType

import pytest

from server.gen.patchbay.modules.levelio.v1 import levelio_pb2 as pb
from server.gen.patchbay.modules.ninjaone.v1.ninjaone_pb2 import NinjaOneConnection
from server.gen.patchbay.v1.authorization_pb2 import AuthorizationCode
from server.sdk import handlers_in, probes_in
from server.sdk.addresses import address_or
from server.sdk.failures import ActionFailure
from server.sdk.http import HttpResponse
from server.sdk.listing import by_name, filters_in, listed, named
from server.sdk.oauth import ClientCredentials, RefreshToken, grant_of
from server.sdk.recent import Recent
from server.sdk.scope import entered
from server.sdk.sessions import Session
from tests.sdk.conftest import Bound, scope
from tests.sdk.vendor import answer, vendor

pytestmark = pytest.mark.anyio

ACTIONS = """
from asyncio import sleep
async def find(): ...
async def probe_find(): ...
async def _helper(): ...
def plain(): ...
"""


def test_handlers_are_the_public_coroutine_functions_of_their_files() -> None:
    """Imported ones, private ones and ordinary functions are none; probes are found by the name of their handler."""
    module, further = ModuleType("actions"), ModuleType("further")
    exec(ACTIONS, vars(module))
    exec("async def run(): ...", vars(further))
    assert [handler.__name__ for handler in handlers_in(module, further)] == ["find", "run"]
    assert probes_in(module, further) == {"find": vars(module)["probe_find"]}


def test_an_answer_holds_messages_or_what_fills_them() -> None:
    """Rows are read under the fields' names or where it is said; the count says how many."""
    told = listed(pb.ListUpdatesResponse, [{"id": 1, "name": "KB1"}, pb.Update(update_id="2")], update_id="id")
    assert [(one.update_id, one.name) for one in told.updates] == [("1", "KB1"), ("2", "")]
    assert (told.count, listed(pb.ListUpdatesResponse, []).count) == (2, 0)


def test_filters_are_the_fields_that_are_set() -> None:
    """Without the limit, which is no filter."""
    assert filters_in(pb.ListUpdatesRequest(status="installed", limit=3)) == {"status": "installed"}


def test_the_grant_is_the_one_that_the_settings_hold() -> None:
    """Client credentials, a refresh token, or the code of a sign-in."""
    assert grant_of(NinjaOneConnection(client_credentials=True)) == ClientCredentials()
    assert grant_of(NinjaOneConnection(refresh_token="r")) == RefreshToken("r")
    signed_in = NinjaOneConnection(sign_in=AuthorizationCode(code="c"))
    assert grant_of(signed_in) == signed_in.sign_in


def test_rows_come_by_name_and_equal_names_by_id() -> None:
    """In any case; rows without a name come first, and are found by no text."""
    rows = [{"id": 3, "name": "beta"}, {"id": 2, "name": "Alpha"}, {"id": 1, "name": "alpha"}, {"name": 7.5}]
    assert [row.get("id") for row in by_name(rows, "")] == [None, 1, 2, 3]
    assert [row.get("id") for row in by_name(rows, "ALP", 1)] == [1]
    assert [row.get("id") for row in rows if named("a")(row)] == [3, 2, 1]


def test_an_empty_address_is_the_default() -> None:
    """What a person enters counts, in one spelling."""

    class Settings:
        instance_url = ""

    read = address_or("https://api.example.com")
    assert read(Settings) == "https://api.example.com"
    Settings.instance_url = "proxy.example.com/"
    assert read(Settings) == "https://proxy.example.com"


@pytest.mark.parametrize("reason", ["VENDOR_ERROR", "VENDOR_PERMISSION_DENIED"])
async def test_only_answers_are_kept(reason: str) -> None:
    """A failure is over with the next call, a lacking right too: it may have been granted meanwhile."""
    times = 0

    async def read() -> str:
        nonlocal times
        times += 1
        if times == 1:
            raise ActionFailure(reason, "No.")
        return "told"

    recent = Recent(read, "nothing")
    assert [await recent.get() for _ in range(4)] == ["nothing", "told", "told", "told"]
    assert times == 2


def _refused(response: HttpResponse) -> ActionFailure | None:
    return ActionFailure("CREDENTIALS_REFUSED", "Wrong.") if response.status in {400, 401} else None


async def test_a_session_signs_in_once_and_again_when_its_token_is_refused(bound: Bound) -> None:
    """Calls that wait share one sign-in; a write whose token was refused is sent once more, with another one."""
    tokens = itertools.count(1)

    async def sign_in() -> str:
        await asyncio.sleep(0)
        return f"token-{next(tokens)}"

    async with vendor(answer(), answer(), answer(401), answer()) as server, entered(scope()):
        session = Session(bound(server, read_error=_refused), sign_in, "Token")
        await asyncio.gather(session.token(), session.token())
        await session.request("GET", "/a")
        await session.request("GET", "/b")
        await session.request("POST", "/c")
    signed = [request.headers["authorization"] for request in server.requests]
    assert signed == ["Token token-1", "Token token-1", "Token token-1", "Token token-2"]


async def test_a_refused_sign_in_is_not_repeated_at_once(bound: Bound) -> None:
    """The refusal is told again without asking; other failures are not kept."""
    reasons = ["VENDOR_UNAVAILABLE", "CREDENTIALS_REFUSED"]

    async def sign_in() -> str:
        raise ActionFailure(reasons.pop(0), "No.")

    async with vendor() as server, entered(scope()):
        session = Session(bound(server), sign_in)
        told = []
        for _ in range(3):
            with pytest.raises(ActionFailure) as raised:
                await session.token()
            told.append(raised.value.failure.reason)
    assert (told, reasons) == (["VENDOR_UNAVAILABLE", "CREDENTIALS_REFUSED", "CREDENTIALS_REFUSED"], [])
