"""What a process has answered about a connection, it also acts on, before any notification has come back to it."""

import pytest

from server.gen.patchbay.v1 import connections_pb2
from tests.support.served import TENANT, Served, set_up

pytestmark = pytest.mark.anyio


async def test_a_connection_is_used_and_given_up_at_once(served: Served) -> None:
    """An action runs right after Connect was answered and fails right after Disconnect was, though news is late."""
    for told in served.handle.house.listener._news.values():
        told.clear()
    gone = connections_pb2.DisconnectRequest(tenant=TENANT, provider="lab")
    for number in range(3):
        assert (await served.execute("post", {"name": "a"}, f"on-{number}")).attempt == 1
        await served.caller("Connections/Disconnect", gone)
        away = await served.execute("post", {"name": "a"}, f"off-{number}")
        assert away.failure.reason == "INTEGRATION_INACTIVE"
        await set_up(served.caller, "lab", served.lab.settings)
