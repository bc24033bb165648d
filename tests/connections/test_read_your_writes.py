"""What a process has answered about a connection, it also acts on, before any notification has come back to it."""

import pytest

from server.gen.patchbay.v1 import connections_pb2
from tests.support.served import TENANT, Served, set_up

pytestmark = pytest.mark.anyio


async def test_a_connection_is_used_and_given_up_at_once(served: Served) -> None:
    """An action fails right after Disconnect was answered and runs right after Connect was, though no news arrives."""
    for told in served.handle.house.listener._news.values():
        told.clear()
    for number in range(3):
        assert (await served.execute("post", {"name": "a"}, f"on-{number}")).attempt == 1
        await served.caller("Connections/Disconnect", connections_pb2.DisconnectRequest(tenant=TENANT, provider="lab"))
        away = await served.execute("post", {"name": "a"}, f"off-{number}")
        assert away.failure.reason == "INTEGRATION_INACTIVE"
        served.handle.house.availabilities.forget_all()
        assert (await served.execute("post", {"name": "a"}, f"off-{number}")).failure == away.failure
        await set_up(served.caller, "lab", served.lab.settings)
