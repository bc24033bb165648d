"""The Identity service."""

from collections.abc import Iterable
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from server.core.administration import PERMISSION, Administration
from server.core.api_keys import ApiKey
from server.core.refusals import FieldViolation, Refusal
from server.core.tenancy import TenantRow
from server.edge.rpc import CallInfo
from server.gen.patchbay.v1 import identity_pb2 as pb
from server.sdk.times import timestamp


class IdentityServicer:
    """Tenants and API keys."""

    def __init__(self, administration: Administration) -> None:
        self._administration = administration

    async def create_tenant(self, request: pb.CreateTenantRequest, call: CallInfo) -> pb.CreateTenantResponse:
        """Creates a tenant."""
        call.caller.demand(PERMISSION)
        tenant = await self._administration.create_tenant(call.caller, request.slug, request.id)
        call.tenant = tenant.id
        return pb.CreateTenantResponse(tenant=_tenant(tenant))

    async def list_tenants(self, _request: pb.ListTenantsRequest, call: CallInfo) -> pb.ListTenantsResponse:
        """Lists the tenants that the caller may name."""
        call.caller.demand(PERMISSION)
        tenants = await self._administration.list_tenants(call.caller)
        return pb.ListTenantsResponse(tenants=map(_tenant, tenants))

    async def create_api_key(self, request: pb.CreateApiKeyRequest, call: CallInfo) -> pb.CreateApiKeyResponse:
        """Creates a key."""
        call.caller.demand(PERMISSION)
        expires_at = _time(request.expire_time) if request.HasField("expire_time") else None
        key, secret = await self._administration.create_key(
            call.caller, request.label, request.tenants, request.permissions, expires_at
        )
        _note_tenant(call, key.tenants)
        return pb.CreateApiKeyResponse(key=_key(key), secret=secret)

    async def list_api_keys(self, _request: pb.ListApiKeysRequest, call: CallInfo) -> pb.ListApiKeysResponse:
        """Lists keys."""
        call.caller.demand(PERMISSION)
        keys = await self._administration.list_keys(call.caller)
        return pb.ListApiKeysResponse(keys=map(_key, keys))

    async def revoke_api_key(self, request: pb.RevokeApiKeyRequest, call: CallInfo) -> pb.RevokeApiKeyResponse:
        """Revokes a key."""
        call.caller.demand(PERMISSION)
        key = await self._administration.revoke_key(call.caller, request.id)
        _note_tenant(call, key.tenants)
        return pb.RevokeApiKeyResponse(key=_key(key))


def _note_tenant(call: CallInfo, tenants: Iterable[str] | None) -> None:
    """The audit row names the tenant of a key that is for one only."""
    named = list(tenants or ())
    if len(named) == 1:
        call.tenant = named[0]


def _tenant(row: TenantRow) -> pb.Tenant:
    return pb.Tenant(id=row.id, slug=row.slug, create_time=timestamp(row.created_at))


def _key(key: ApiKey) -> pb.ApiKey:
    return pb.ApiKey(
        id=key.id,
        label=key.label,
        tenants=sorted(key.tenants or ()),
        permissions=key.permissions,
        create_time=timestamp(key.created_at),
        expire_time=timestamp(key.expires_at),
        revoke_time=timestamp(key.revoked_at),
    )


def _time(stamp: Timestamp) -> datetime:
    try:
        return stamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        violation = FieldViolation("expire_time", "is not a time from year 1 to 9999", "timestamp")
        raise Refusal("INPUT_INVALID", "The end of the key is no time.", violations=[violation]) from None
