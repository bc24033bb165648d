"""Calls that several tests make."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message

from server.core.registry import Registry
from server.gen.patchbay.v1 import catalog_pb2, identity_pb2
from tests.support.served import Caller, everything


def _services() -> dict[str, ServiceDescriptor]:
    registry = Registry()
    everything(registry)
    return {one.definition.service.name: one.definition.service for one in registry.modules.values()}


SERVICES = _services()
"""The services of all modules, the lab's included, by name."""


def direct(caller: Caller, rpc: str, request: Message, *metadata: tuple[str, str]) -> Any:
    """Calls a module's own rpc, such as `Lab/PostThing`; the envelope is in the metadata."""
    service, method = rpc.split("/")
    described = SERVICES[service].methods_by_name[method]
    call: grpc.aio.UnaryUnaryMultiCallable[Message, Message] = caller.channel.unary_unary(
        f"/{SERVICES[service].full_name}/{method}",
        lambda message: message.SerializeToString(),
        message_factory.GetMessageClass(described.output_type).FromString,
    )
    return call(request, timeout=30, metadata=(*caller.metadata, *metadata))


async def actions(caller: Caller, tenant: str) -> list[catalog_pb2.CatalogAction]:
    """Every action of the catalog."""
    answer = await caller("Catalog/GetCatalog", catalog_pb2.GetCatalogRequest(tenant=tenant))
    return [action for group in answer.groups for action in group.actions]


async def new_key(caller: Caller, **facts: Any) -> str:
    """Makes an API key and returns it."""
    request = identity_pb2.CreateApiKeyRequest(**{"label": "test", "permissions": ["*"], **facts})
    return str((await caller("Identity/CreateApiKey", request)).secret)


@asynccontextmanager
async def holding(target: str, caller: Caller, **facts: Any) -> AsyncIterator[Caller]:
    """A caller with a new key, which another caller makes."""
    made = Caller(target, await new_key(caller, **facts))
    try:
        yield made
    finally:
        await made.close()
