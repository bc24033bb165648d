"""Connecting: what is accepted, what is refused with the field, who may stand for Microsoft."""

from typing import Any

import pytest

from server.gen.patchbay.modules.microsoft365calendar.v1.microsoft365calendar_pb2 import Microsoft365CalendarConnection
from server.modules.microsoft365calendar.connection import instance_url
from server.sdk import ActionFailure, Deadline
from server.sdk.http import HttpPool
from server.sdk.masking import Masker
from server.sdk.scope import CallScope, entered
from server.store.database import Database
from tests.modules.microsoft365calendar.world import Vendor, tenant_at

pytestmark = pytest.mark.anyio

CLOUDS = {
    "": "https://graph.microsoft.com",
    "gcc": "https://graph.microsoft.com",
    "gcc_high": "https://graph.microsoft.us",
    "dod": "https://dod-graph.microsoft.us",
    "china": "https://microsoftgraph.chinacloudapi.cn",
}


@pytest.mark.parametrize("cloud", CLOUDS)
def test_each_cloud_has_its_own_graph(cloud: str) -> None:
    """The address shown for a connection is that of its cloud."""
    assert instance_url(Microsoft365CalendarConnection(cloud=cloud)) == CLOUDS[cloud]


@pytest.mark.parametrize("field", ["login_url", "graph_url"])
def test_nothing_else_stands_for_microsoft(field: str) -> None:
    """Tokens go to these addresses, so any but a loopback one is refused, naming the field."""
    with pytest.raises(ActionFailure) as caught:
        instance_url(Microsoft365CalendarConnection(**{field: "https://graph.example.com"}))
    assert (caught.value.failure.reason, caught.value.failure.field) == (
        "INTEGRATION_MISCONFIGURED",
        f"settings.{field}",
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"client_secret": "wrong"}, "CREDENTIALS_REFUSED"),
        ({"app_id": "00000000-0000-4000-8000-000000000000"}, "INTEGRATION_MISCONFIGURED"),
        ({"entra_tenant_id": "00000000-0000-4000-8000-000000000000"}, "INTEGRATION_MISCONFIGURED"),
    ],
)
async def test_the_connection_test_obtains_a_token(
    vendor: Vendor, pool: HttpPool, modules_database: Database, tenant: str, changes: dict[str, Any], reason: str | None
) -> None:
    """Accepted credentials pass; refused ones are told with what is wrong."""
    credentials = vendor.control.credentials()
    connected = tenant_at(tenant, modules_database, pool, vendor.url, credentials, **changes)
    told = None
    async with entered(CallScope(Deadline.after(20), Masker())):
        try:
            await connected.graph.check()
        except ActionFailure as failure:
            told = failure.failure.reason
    assert told == reason
