"""The Identity service through real gRPC."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from server.core.administration import Administration
from server.core.identity import Authenticator
from server.core.tenancy import Tenants
from server.edge.identity import IdentityServicer
from server.gen.patchbay.v1 import identity_pb2 as pb
from server.store.api_keys import ApiKeyRows
from server.store.database import Database
from server.store.tenants import Tenants as TenantRows
from tests.identity.calling import Caller, served
from tests.identity.conftest import MakeKey

pytestmark = pytest.mark.anyio

DEFAULTS = ("catalog", "executions.read", "tacticalrmm.*")


@pytest.fixture
async def identity(database: Database, keys: ApiKeyRows) -> AsyncIterator[Caller]:
    """A caller of a running server with the Identity service; it presents no key until it is given one."""
    directory = TenantRows(database)
    authenticator = Authenticator(keys, mode="required")
    administration = Administration(
        directory, Tenants(directory), keys, permissions=DEFAULTS, forget=authenticator.forget
    )
    service = pb.DESCRIPTOR.services_by_name["Identity"]
    async with served(service, IdentityServicer(administration), authenticator) as caller:
        yield caller


@pytest.fixture
async def operator(identity: Caller, make_key: MakeKey) -> Caller:
    """A caller with a key for everything."""
    _, token = await make_key()
    return identity.using(token)


async def tenant(operator: Caller, slug: str) -> str:
    """Creates a tenant and returns its id."""
    answer: pb.CreateTenantResponse = await operator("CreateTenant", pb.CreateTenantRequest(slug=slug))
    return answer.tenant.id


async def test_without_a_key_nothing_is_answered(identity: Caller) -> None:
    """Every rpc of the service asks for credentials."""
    for method in pb.DESCRIPTOR.services_by_name["Identity"].methods:
        assert await identity.reason(method.name) == (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIALS_MISSING")


async def test_the_permission_is_asked_for(identity: Caller, make_key: MakeKey) -> None:
    """A key without `identity` can use nothing of the service."""
    _, token = await make_key(permissions=("catalog", "tacticalrmm.*"))
    caller = identity.using(token)
    status = grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED"
    assert await caller.reason("CreateTenant", pb.CreateTenantRequest(slug="acme")) == status
    assert await caller.reason("ListTenants") == status
    assert await caller.reason("CreateApiKey", pb.CreateApiKeyRequest(label="x")) == status
    assert await caller.reason("ListApiKeys") == status
    assert await caller.reason("RevokeApiKey", pb.RevokeApiKeyRequest(id="x")) == status


async def test_tenants_are_created_once(operator: Caller) -> None:
    """The same slug answers the same tenant; a slug with another id is taken."""
    first = await operator("CreateTenant", pb.CreateTenantRequest(slug="acme"))
    again = await operator("CreateTenant", pb.CreateTenantRequest(slug="acme", id=first.tenant.id))
    assert first == again
    other = pb.CreateTenantRequest(slug="acme", id=str(uuid4()))
    assert await operator.reason("CreateTenant", other) == (grpc.StatusCode.ALREADY_EXISTS, "TENANT_EXISTS")
    listed = await operator("ListTenants", pb.ListTenantsRequest())
    assert list(listed.tenants) == [first.tenant]


async def test_a_created_key_works_and_its_secret_is_told_once(operator: Caller, identity: Caller) -> None:
    """Tenants by slug, default permissions; lists do not show the secret."""
    acme = await tenant(operator, "acme")
    made = await operator("CreateApiKey", pb.CreateApiKeyRequest(label="engine", tenants=["acme"]))
    assert made.key.tenants == [acme]
    assert tuple(made.key.permissions) == DEFAULTS
    assert made.secret.startswith(f"pb_{made.key.id}_")
    assert (await identity.using(made.secret).reason("ListTenants"))[1] == "PERMISSION_DENIED"
    listed = await operator("ListApiKeys", pb.ListApiKeysRequest())
    assert listed.keys[0] == made.key
    assert made.secret.rpartition("_")[2] not in str(listed)


async def test_a_revoked_key_stops_at_once_where_it_was_revoked(operator: Caller, identity: Caller) -> None:
    """Revoking again answers the same; an unknown id is NOT_FOUND."""
    made = await operator("CreateApiKey", pb.CreateApiKeyRequest(label="engine", permissions=["identity"]))
    engine = identity.using(made.secret)
    await engine("ListTenants", pb.ListTenantsRequest())
    revoked = await operator("RevokeApiKey", pb.RevokeApiKeyRequest(id=made.key.id))
    assert revoked.key.HasField("revoke_time")
    assert await engine.reason("ListTenants") == (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIALS_REVOKED")
    assert await operator("RevokeApiKey", pb.RevokeApiKeyRequest(id=made.key.id)) == revoked
    unknown = await operator.reason("RevokeApiKey", pb.RevokeApiKeyRequest(id="aaaaaaaaaaaa"))
    assert unknown == (grpc.StatusCode.NOT_FOUND, "API_KEY_UNKNOWN")


async def bound(operator: Caller, identity: Caller, slug: str, *permissions: str) -> Caller:
    """Returns a caller that is bound to one tenant."""
    request = pb.CreateApiKeyRequest(label=slug, tenants=[slug], permissions=["identity", *permissions])
    return identity.using((await operator("CreateApiKey", request)).secret)


async def test_nobody_gives_what_it_does_not_have(operator: Caller, identity: Caller) -> None:
    """Broader permissions and other tenants are refused; what lies within is given."""
    acme, _ = await tenant(operator, "acme"), await tenant(operator, "other")
    admin = await bound(operator, identity, "acme", "tacticalrmm.agents.*")
    denied = grpc.StatusCode.PERMISSION_DENIED

    async def asked(tenants: list[str], permissions: list[str]) -> tuple[Any, str]:
        request = pb.CreateApiKeyRequest(label="x", tenants=tenants, permissions=permissions)
        return await admin.reason("CreateApiKey", request)

    for broader in ("*", "tacticalrmm.*", "catalog", "*.agents.*", "tacticalrmm.agents*"):
        assert await asked([], [broader]) == (denied, "PERMISSION_DENIED")
    assert await asked([], []) == (denied, "PERMISSION_DENIED")
    assert await asked(["other"], ["identity"]) == (denied, "TENANT_FORBIDDEN")
    assert await asked(["no-such-tenant"], ["identity"]) == (denied, "TENANT_FORBIDDEN")
    within = pb.CreateApiKeyRequest(label="x", permissions=["tacticalrmm.agents.find", "tacticalrmm.agents.*"])
    assert (await admin("CreateApiKey", within)).key.tenants == [acme]


async def test_bound_callers_see_and_end_their_own_keys_only(operator: Caller, identity: Caller) -> None:
    """Keys of other tenants, of several tenants and of every tenant stay hidden; tenants likewise."""
    acme, other = await tenant(operator, "acme"), await tenant(operator, "other")
    admin = await bound(operator, identity, "acme")
    hidden = [
        (await operator("CreateApiKey", pb.CreateApiKeyRequest(label="x", tenants=tenants))).key.id
        for tenants in ([other], [acme, other], [])
    ]
    seen = {key.id for key in (await admin("ListApiKeys", pb.ListApiKeysRequest())).keys}
    assert len(seen) == 1
    for key_id in hidden:
        assert (await admin.reason("RevokeApiKey", pb.RevokeApiKeyRequest(id=key_id)))[1] == "API_KEY_UNKNOWN"
    assert [one.id for one in (await admin("ListTenants", pb.ListTenantsRequest())).tenants] == [acme]
    assert (await admin.reason("CreateTenant", pb.CreateTenantRequest(slug="mine")))[1] == "PERMISSION_DENIED"
    await admin("RevokeApiKey", pb.RevokeApiKeyRequest(id=seen.pop()))


async def test_an_end_in_the_past_or_out_of_time_is_refused(operator: Caller) -> None:
    """The field is named."""
    past = Timestamp()
    past.FromDatetime(datetime.now(UTC) - timedelta(minutes=1))
    for end in (past, Timestamp(seconds=10**15)):
        request = pb.CreateApiKeyRequest(label="x", expire_time=end)
        assert await operator.violations("CreateApiKey", request) == ["expire_time"]
