"""Real modules with small handlers, and the data that they answer with."""

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message

from scripts.generate import ROOT, protoc, protos
from server.core.registry import Registry
from server.gen.patchbay.modules.tacticalrmm.v1 import tacticalrmm_pb2
from server.sdk.availability import AvailabilityResolver, Integration, rmm_connection
from server.sdk.context import ActionContext
from server.sdk.module import Handler, IntegrationModule

PROTO = Path(__file__).parent / "proto"
TACTICAL = "app:tacticalrmm"
ZETA = "app:zeta"

Answer = Callable[[Any], Message]


class Integrations:
    """Connections of tenants; counts how often it was asked. With a `gate`, answers wait until it is open."""

    def __init__(self) -> None:
        self.rows: dict[str, list[Integration]] = {}
        self.asked = 0
        self.reading = asyncio.Event()
        self.gate: asyncio.Event | None = None
        self.broken: Exception | None = None

    async def integrations(self, tenant: str) -> Mapping[str, Integration]:
        """Returns the tenant's connections by provider."""
        self.asked += 1
        self.reading.set()
        rows = {row.provider: row for row in self.rows.get(tenant, [])}
        if self.gate is not None:
            await self.gate.wait()
        if self.broken is not None:
            raise self.broken
        return rows

    def connect(self, tenant: str, *providers: str) -> None:
        """Makes these the connected providers of the tenant."""
        self.rows[tenant] = [connected(provider) for provider in providers]


def connected(provider: str) -> Integration:
    """A connection that works."""
    return Integration(provider=provider, is_active=True, connected_at=datetime(2026, 1, 1, tzinfo=UTC))


@dataclass
class Vendor:
    """What the handlers answer: by rpc name, a function of the request. `requests` holds what they were asked.

    Rpcs named in `hangs` never answer.
    """

    answers: dict[str, Answer] = field(default_factory=dict)
    hangs: set[str] = field(default_factory=set)
    requests: list[Any] = field(default_factory=list)

    def handlers(self, service: ServiceDescriptor) -> list[Handler]:
        """Returns one handler for each rpc; without an answer of its own it answers empty."""
        return [self._handler(method) for method in service.methods]

    def _handler(self, method: MethodDescriptor) -> Handler:
        output = message_factory.GetMessageClass(method.output_type)

        async def handle(request, ctx):
            self.requests.append(request)
            if method.name in self.hangs:
                await asyncio.Event().wait()
            answer = self.answers.get(method.name)
            return answer(request) if answer else output()

        handle.__name__ = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", method.name).lower()
        handle.__annotations__ = {
            "request": message_factory.GetMessageClass(method.input_type),
            "ctx": ActionContext[None],
            "return": output,
        }
        return handle


def compiled(folder: Path) -> bytes:
    """Compiles the fixture's proto and returns its descriptor set, registered with the protobuf runtime."""
    out = folder / "catalog_fixture.binpb"
    protoc([PROTO, ROOT / "proto"], protos(PROTO), f"--descriptor_set_out={out}", "--include_source_info")
    image = out.read_bytes()
    for file in descriptor_pb2.FileDescriptorSet.FromString(image).file:
        descriptor_pool.Default().AddSerializedFile(file.SerializeToString())
    return image


def message(name: str) -> type[Message]:
    """Returns the class of one of the fixture's messages."""
    return message_factory.GetMessageClass(
        descriptor_pool.Default().FindMessageTypeByName(f"catalog_fixture.v1.{name}")
    )


def tactical(vendor: Vendor, resolver: AvailabilityResolver | None = None) -> IntegrationModule[Any, Any]:
    """Returns the contract of Tactical RMM with the vendor's handlers."""
    contract = tacticalrmm_pb2.DESCRIPTOR.services_by_name["TacticalRmm"]
    return IntegrationModule(
        contract=contract,
        handlers=vendor.handlers(contract),
        availability=resolver or rmm_connection("tacticalrmm", "Tactical RMM"),
        connect=lambda _scope: None,
    )


def fixture_module(
    name: str, image: bytes, vendor: Vendor, resolver: AvailabilityResolver | None = None
) -> IntegrationModule[Any, Any]:
    """Returns one of the fixture's modules."""
    contract = descriptor_pool.Default().FindServiceByName(f"catalog_fixture.v1.{name}")
    return IntegrationModule(
        contract=contract,
        handlers=vendor.handlers(contract),
        availability=resolver,
        descriptor_set=image,
    )


def registry_of(*modules: IntegrationModule[Any, Any]) -> Registry:
    """Returns a registry with these modules."""
    registry = Registry()
    for module in modules:
        registry.add(module)
    return registry
