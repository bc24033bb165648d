"""The ports of a house: which services and paths they offer, and what is noted of each call."""

from datetime import UTC, datetime
from types import ModuleType

from google.protobuf.descriptor import ServiceDescriptor
from starlette.routing import Route

from server.composition import House
from server.core.administration import Administration, default_permissions
from server.edge.board import BoardServicer
from server.edge.bot import BotEndpoint
from server.edge.catalog import CatalogServicer
from server.edge.connections import ConnectionsServicer
from server.edge.direct import DirectHandlers
from server.edge.directory import DirectoryServicer
from server.edge.dispatch import OutboxServicer
from server.edge.executor import ActionExecutorServicer
from server.edge.feeds import FeedFiles, FeedsServicer
from server.edge.http import HttpAudit, HttpDoor, HttpReport
from server.edge.identity import IdentityServicer
from server.edge.rpc import Audit, CallInfo, Gatekeeper, Parts
from server.edge.server import Door
from server.edge.tls import PortTls
from server.gen.patchbay.v1 import catalog_pb2, connections_pb2, directory_pb2, dispatch_pb2, executor_pb2, identity_pb2
from server.store.audit import AuditEntry, AuditLog


def door(house: House, tls: PortTls | None) -> Door:
    """Returns the gRPC port that serves a house; without `tls` it speaks plain HTTP/2."""
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
        tls=tls,
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
        _service(directory_pb2, "Directory"): DirectoryServicer(house.directory, house.tenants),
        _service(identity_pb2, "Identity"): IdentityServicer(administration),
        _service(dispatch_pb2, "Dispatch"): Parts(
            BoardServicer(house.tenants, house.boards),
            FeedsServicer(house.tenants, house.feeds, house.settings.public_url),
            OutboxServicer(house.tenants, house.outbox),
        ),
    }


def http_doors(house: House) -> dict[str, HttpDoor]:
    """Returns the HTTP ports that the settings want, by where they listen. One address may serve all paths."""
    settings = house.settings
    audit, wanted = _http_auditor(house.audit), dict[str, list[Route]]()
    if settings.bot_listen:
        wanted.setdefault(settings.bot_listen, []).append(BotEndpoint(house.bot_inbound, audit).route)
    if settings.http_listen:
        wanted.setdefault(settings.http_listen, []).append(FeedFiles(house.feeds, audit).route)
    shared = settings.workers > 1
    return {listen: HttpDoor(routes, shared_port=shared) for listen, routes in wanted.items()}


def _http_auditor(log: AuditLog) -> HttpAudit:
    async def audit(report: HttpReport) -> None:
        for tenant in report.tenants or ("",):
            await log.add(
                AuditEntry(
                    caller=report.caller,
                    operation=report.operation,
                    outcome="REFUSED" if report.reason else "OK",
                    reason=report.reason,
                    tenant=tenant,
                    actor=report.actor,
                    peer=report.peer,
                    at=datetime.now(UTC),
                )
            )

    return audit


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
