"""Requests as bytes: what is no message, and questions that are asked again."""

import grpc
import pytest

from server.gen.patchbay.v1 import catalog_pb2, identity_pb2
from tests.support.grpc_errors import refused
from tests.support.served import TENANT, Caller, Served

pytestmark = pytest.mark.anyio

CATALOG = "/patchbay.v1.Catalog/GetCatalog"
QUESTION = catalog_pb2.GetCatalogRequest(tenant=TENANT)


@pytest.mark.parametrize(
    "path", [CATALOG, "/patchbay.v1.ActionExecutor/ExecuteAction", "/patchbay.v1.Catalog/WatchCatalog"]
)
async def test_bytes_that_are_no_message_are_refused(served: Served, path: str) -> None:
    """The caller learns that its bytes are no message of the type, and of which one, each time it sends them."""
    for _ in range(2):
        with refused("INPUT_INVALID", grpc.StatusCode.INVALID_ARGUMENT):
            if path.endswith("WatchCatalog"):
                await served.caller.channel.unary_stream(path)(b"\xff\xff").read()
            else:
                await served.caller.channel.unary_unary(path)(b"\xff\xff")


async def test_a_question_that_is_known_is_asked_by_somebody_else(served: Served) -> None:
    """The same bytes are answered to who may ask, and refused to who may not: only the reading is remembered."""
    made = []
    for permission in ("*", "catalog", "lab.*"):
        request = identity_pb2.CreateApiKeyRequest(label=permission, permissions=[permission])
        operator = Caller(served.handle.target, made[0] if made else "")
        made.append((await operator("Identity/CreateApiKey", request)).secret)
        await operator.close()
    callers = [Caller(served.handle.target, secret) for secret in made]
    first, second = [await caller("Catalog/GetCatalog", QUESTION) for caller in callers[:2]]
    assert first == second
    with refused("PERMISSION_DENIED", grpc.StatusCode.PERMISSION_DENIED):
        await callers[2]("Catalog/GetCatalog", QUESTION)
    for caller in callers:
        await caller.close()


async def test_a_question_that_breaks_a_rule_is_refused_each_time(served: Served) -> None:
    """A refusal is not remembered as an answer."""
    for _ in range(2):
        with refused("INPUT_INVALID", grpc.StatusCode.INVALID_ARGUMENT):
            await served.caller("Catalog/GetCatalog", catalog_pb2.GetCatalogRequest(tenant="\0"))
