"""The Catalog service."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol

from server.core.caller import Caller
from server.core.catalog import Catalog
from server.core.pickers import Pickers
from server.core.watch import Watches
from server.edge.rpc import CallInfo
from server.gen.patchbay.v1 import catalog_pb2 as pb

PERMISSION = "catalog"


class Tenants(Protocol):
    """Which tenant a call is for."""

    async def resolve(self, caller: Caller, name: str) -> str:
        """Returns the tenant's id; raises Refusal."""


class CatalogServicer:
    """What a tenant may use."""

    def __init__(self, tenants: Tenants, catalog: Catalog, pickers: Pickers, watches: Watches) -> None:
        self._tenants = tenants
        self._catalog = catalog
        self._pickers = pickers
        self._watches = watches

    async def get_catalog(self, request: pb.GetCatalogRequest, call: CallInfo) -> bytes:
        """Returns all groups, serialized."""
        tenant = await self._open(request.tenant, call)
        return await self._catalog.get_catalog(tenant, request.etag)

    async def get_action(self, request: pb.GetActionRequest, call: CallInfo) -> bytes:
        """Returns one action whole, serialized."""
        call.action, call.version = request.action, request.version
        tenant = await self._open(request.tenant, call)
        return await self._catalog.get_action(tenant, request.action, request.version)

    async def list_field_options(
        self, request: pb.ListFieldOptionsRequest, call: CallInfo
    ) -> pb.ListFieldOptionsResponse:
        """Returns a page of choices."""
        call.action, call.version = request.action, request.version
        tenant = await self._open(request.tenant, call)
        answer = await self._pickers.list_options(request, call.caller, tenant, call.deadline)
        if answer.HasField("failure"):
            call.outcome, call.reason = "FAILED", answer.failure.reason
        return answer

    async def watch_catalog(
        self, request: pb.WatchCatalogRequest, call: CallInfo
    ) -> AsyncGenerator[pb.WatchCatalogResponse, None]:
        """Streams availability."""
        tenant = await self._open(request.tenant, call)
        async with aclosing(self._watches.watch(tenant, request.resume_from)) as events:
            async for event in events:
                yield event

    async def _open(self, tenant: str, call: CallInfo) -> str:
        call.caller.demand(PERMISSION)
        call.tenant = await self._tenants.resolve(call.caller, tenant)
        return call.tenant
