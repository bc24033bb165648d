"""The Connections service through real gRPC."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf.struct_pb2 import Struct

from server.core.identity import Authenticator
from server.core.tenancy import Tenants
from server.edge.connections import ConnectionsServicer
from server.gen.patchbay.v1 import connections_pb2 as pb
from server.store.api_keys import ApiKeyRows
from server.store.database import Database
from server.store.tenants import Tenants as TenantRows
from tests.connections.conftest import House, settings
from tests.connections.vendor import LOOPBACK, PROVIDER, Vendor
from tests.identity.calling import Caller, served
from tests.identity.conftest import MakeKey, keys, make_key

__all__ = ["keys", "make_key"]

pytestmark = pytest.mark.anyio


@pytest.fixture
async def anybody(database: Database, house: House, keys: ApiKeyRows) -> AsyncIterator[Caller]:
    """A caller without a key of a running server with the Connections service."""
    service = pb.DESCRIPTOR.services_by_name["Connections"]
    servicer = ConnectionsServicer(house.connections, Tenants(TenantRows(database)))
    async with served(service, servicer, Authenticator(keys, mode="required")) as caller:
        yield caller


@pytest.fixture
async def operator(anybody: Caller, make_key: MakeKey) -> Caller:
    """A caller that may do everything."""
    return anybody.using((await make_key())[1])


@pytest.fixture
async def admin(anybody: Caller, make_key: MakeKey, tenant: str) -> Caller:
    """A caller that may connect the tenant, without granting anything."""
    _, token = await make_key(frozenset({tenant}), ("connections",))
    return anybody.using(token)


def requests(**named: Any) -> dict[str, Any]:
    """Returns one request of each method that is about a tenant."""
    return {
        "Connect": pb.ConnectRequest(**named, settings=Struct()),
        "TestConnection": pb.TestConnectionRequest(**named),
        "Disconnect": pb.DisconnectRequest(**named),
        "ListConnections": pb.ListConnectionsRequest(tenant=named.get("tenant", "")),
    }


async def test_a_connection_from_beginning_to_end(
    operator: Caller, admin: Caller, house: House, vendor: Vendor
) -> None:
    """Connected by the operator, tested, listed and ended by the tenant's admin, who need not name the tenant."""
    request = pb.ConnectRequest(tenant=house.tenant, provider=PROVIDER, settings=settings(vendor), grant=LOOPBACK)
    made = (await operator("Connect", request)).connection
    assert (made.tenant, made.provider, made.instance_url, made.active) == (house.tenant, PROVIDER, vendor.url, True)
    assert dict(made.settings) == {"instance_url": vendor.url, "allow_templates": False}
    assert made.grant == LOOPBACK
    tested = await admin("TestConnection", pb.TestConnectionRequest(provider=PROVIDER))
    assert not tested.HasField("failure")
    listed = await admin("ListConnections", pb.ListConnectionsRequest())
    assert list(listed.connections) == [tested.connection]
    ended = await admin("Disconnect", pb.DisconnectRequest(provider=PROVIDER))
    assert not ended.connection.active


async def test_a_refusal_of_the_vendor_is_an_answer_not_an_error(
    operator: Caller, house: House, vendor: Vendor
) -> None:
    """Callers get the failure as data, and no connection."""
    wrong = settings(vendor, api_key="wrong-key")
    request = pb.ConnectRequest(tenant=house.tenant, provider=PROVIDER, settings=wrong, grant=LOOPBACK)
    answer = await operator("Connect", request)
    assert answer.failure.reason == "CREDENTIALS_REFUSED"
    assert not answer.HasField("connection")


async def test_an_admin_without_the_permission_cannot_grant(admin: Caller, vendor: Vendor) -> None:
    """PERMISSION_DENIED, before the vendor is asked."""
    request = pb.ConnectRequest(provider=PROVIDER, settings=settings(vendor), grant=LOOPBACK)
    assert await admin.reason("Connect", request) == (grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED")
    assert vendor.checks == []


async def test_other_tenants_are_forbidden_before_anything_is_looked_at(admin: Caller, operator: Caller) -> None:
    """A bound caller gets the same answer for a foreign tenant and an unknown one; an unbound one learns more."""
    forbidden = grpc.StatusCode.PERMISSION_DENIED, "TENANT_FORBIDDEN"
    for method, request in requests(tenant="somebody-else", provider="no-such").items():
        assert await admin.reason(method, request) == forbidden
        assert await operator.reason(method, request) == (grpc.StatusCode.NOT_FOUND, "TENANT_UNKNOWN")
    for method, request in requests(provider="no-such").items():
        assert await operator.reason(method, request) == (grpc.StatusCode.INVALID_ARGUMENT, "TENANT_REQUIRED")


async def test_the_permission_is_asked_for(anybody: Caller, make_key: MakeKey) -> None:
    """A key for actions cannot look at connections, for no tenant."""
    caller = anybody.using((await make_key(permissions=("catalog", "tacticalrmm.*")))[1])
    for method, request in {**requests(provider="x"), "ListProviders": pb.ListProvidersRequest()}.items():
        assert await caller.reason(method, request) == (grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED")


async def test_unknown_things_and_bad_settings_have_their_statuses(
    operator: Caller, house: House, vendor: Vendor
) -> None:
    """Provider, connection, fields."""
    not_found = grpc.StatusCode.NOT_FOUND
    named: dict[str, Any] = {"tenant": house.tenant, "provider": "no-such"}
    assert await operator.reason("TestConnection", pb.TestConnectionRequest(**named)) == (not_found, "PROVIDER_UNKNOWN")
    named["provider"] = PROVIDER
    assert await operator.reason("Disconnect", pb.DisconnectRequest(**named)) == (not_found, "CONNECTION_UNKNOWN")
    request = pb.ConnectRequest(**named, settings=settings(vendor, oops=1))
    assert await operator.violations("Connect", request) == ["settings.oops"]


async def test_providers_are_listed_with_schemas(admin: Caller) -> None:
    """For the form that asks for settings."""
    answer = await admin("ListProviders", pb.ListProvidersRequest())
    assert [one.provider for one in answer.providers] == [PROVIDER]
    assert "instance_url" in answer.providers[0].settings.inlined_json
