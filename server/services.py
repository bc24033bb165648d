"""The gRPC port of a house: which services it offers and what is noted of each call."""

from datetime import UTC, datetime
from types import ModuleType

from google.protobuf.descriptor import ServiceDescriptor

from server.composition import House
from server.core.administration import Administration, default_permissions
from server.edge.bot import BotDoor, BotReport
from server.edge.catalog import CatalogServicer
from server.edge.connections import ConnectionsServicer
from server.edge.direct import DirectHandlers
from server.edge.dispatch import OutboxServicer
from server.edge.executor import ActionExecutorServicer
from server.edge.identity import IdentityServicer
from server.edge.rpc import Audit, CallInfo, Gatekeeper, Parts
from server.edge.server import Door
from server.gen.patchbay.v1 import catalog_pb2, connections_pb2, dispatch_pb2, executor_pb2, identity_pb2
from server.store.audit import AuditEntry, AuditLog


def door(house: House) -> Door:
    """Returns the gRPC port that serves a house."""
    gate = Gatekeeper(house.authenticator, _auditor(house.audit))
    settings = house.settings
    return Door(
        _servicers(house),
        DirectHandlers(house.registry, house.tenants, house.executor, gate),
        [module.definition.service.full_name for module in house.registry.modules.values()],
        gate,
        largest=max(settings.max_input_bytes, settings.max_output_bytes),
        with_reflection=settings.reflection,
        shared_port=settings.workers > 1,
    )


def _servicers(house: House) -> dict[ServiceDescriptor, object]:
    administration = Administration(
        house.tenant_store,
        house.tenants,
        house.api_keys,
        permissions=default_permissions(house.registry),
        forget=house.authenticator.forget,
    )
    return {
        _service(executor_pb2, "ActionExecutor"): ActionExecutorServicer(
            house.tenants, house.executor, house.executions, house.preparation
        ),
        _service(catalog_pb2, "Catalog"): CatalogServicer(house.tenants, house.catalog, house.pickers, house.watches),
        _service(connections_pb2, "Connections"): ConnectionsServicer(house.connections, house.tenants),
        _service(dispatch_pb2, "Dispatch"): Parts(OutboxServicer(house.tenants, house.outbox)),
        _service(identity_pb2, "Identity"): IdentityServicer(administration),
    }


def bot_door(house: House) -> BotDoor | None:
    """Returns the port where Teams reaches bots; None when the settings want none."""
    if not house.settings.bot_listen:
        return None

    async def audit(report: BotReport) -> None:
        for tenant in report.tenants or ("",):
            await house.audit.add(
                AuditEntry(
                    caller=f"bot:{report.bot_app_id}",
                    operation="bot/api/messages",
                    outcome="REFUSED" if report.reason else "OK",
                    reason=report.reason,
                    tenant=tenant,
                    peer=report.peer,
                    at=datetime.now(UTC),
                )
            )

    return BotDoor(house.bot_inbound, audit, shared_port=house.settings.workers > 1)


def _auditor(log: AuditLog) -> Audit:
    async def audit(call: CallInfo) -> None:
        await log.add(
            AuditEntry(
                datetime.now(UTC),
                call.caller.name,
                call.operation,
                call.outcome,
                call.reason,
                call.tenant,
                call.actor,
                call.peer,
                call.action,
                call.version,
                call.execution,
                *call.run,
            )
        )

    return audit


def _service(file: ModuleType, name: str) -> ServiceDescriptor:
    descriptor: ServiceDescriptor = file.DESCRIPTOR.services_by_name[name]
    return descriptor
