"""Putting the rooms together: from settings and a database to services that a gRPC server can serve."""

import asyncio
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any
from uuid import uuid4

from google.protobuf.descriptor import ServiceDescriptor

from server import modules as builtin
from server.core.administration import Administration, default_permissions
from server.core.availability import Availabilities
from server.core.catalog import Catalog
from server.core.connections import Connections
from server.core.execution import Executor
from server.core.handling import Handling
from server.core.identity import Authenticator
from server.core.jwt import JwtSettings, JwtVerifier
from server.core.master_keys import MasterKeys
from server.core.pickers import Pickers
from server.core.ports import Stores
from server.core.preparation import Preparation
from server.core.registry import Registry
from server.core.running import Runner
from server.core.settling import Executions
from server.core.tenancy import Tenants
from server.core.upkeep import Upkeep, UpkeepSettings
from server.core.vault import Vault
from server.core.watch import Watches
from server.edge.catalog import CatalogServicer
from server.edge.connections import ConnectionsServicer
from server.edge.direct import DirectHandlers
from server.edge.executor import ActionExecutorServicer
from server.edge.identity import IdentityServicer
from server.edge.rpc import Audit, CallInfo, Gatekeeper
from server.edge.server import Door
from server.gen.patchbay.v1 import catalog_pb2, connections_pb2, executor_pb2, identity_pb2
from server.sdk.http import HttpPool
from server.sdk.module import Registrar
from server.settings import Settings
from server.store.api_keys import ApiKeyRows
from server.store.audit import AuditEntry, AuditLog
from server.store.batch import Batcher
from server.store.budgets import Budgets
from server.store.credentials import SystemSecretRows
from server.store.database import Database
from server.store.integrations import IntegrationRows
from server.store.inventory import Assets
from server.store.invocations import Invocations
from server.store.listen import Listener
from server.store.locks import Locks
from server.store.tenants import Tenants as TenantStore
from server.store.upkeep import Upkeep as UpkeepStore

ENTRY_POINTS = "patchbay.modules"
Register = Callable[[Registrar], None]


def all_modules(registrar: Registrar) -> None:
    """Registers the modules of this package, then those that installed packages offer by entry point."""
    for found in pkgutil.iter_modules(builtin.__path__):
        importlib.import_module(f"{builtin.__name__}.{found.name}").register(registrar)
    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda one: one.name):
        entry.load()(registrar)


@dataclass(frozen=True, kw_only=True)
class House:
    """Every part of a running server, by its job."""

    settings: Settings
    owner: str
    database: Database
    listener: Listener
    registry: Registry
    authenticator: Authenticator
    tokens: JwtVerifier | None
    tenants: Tenants
    tenant_store: TenantStore
    api_keys: ApiKeyRows
    connections: Connections
    availabilities: Availabilities
    catalog: Catalog
    watches: Watches
    pickers: Pickers
    preparation: Preparation
    executor: Executor
    executions: Executions
    runner: Runner
    upkeep: Upkeep
    upkeep_store: UpkeepStore
    audit: AuditLog
    reads: Batcher[Any]
    http: HttpPool


async def build(settings: Settings, dsn: str, register: Register = all_modules) -> House:
    """Opens the database and builds every part; starts nothing."""
    registry = Registry()
    register(registry)
    database = await Database.open(dsn, max_size=settings.pool_size)
    listener = Listener(dsn)
    vault = await Vault.load(master_keys(settings), SystemSecretRows(database))
    http = HttpPool()
    integrations = IntegrationRows(database)
    connections = Connections(registry, integrations, vault, http)
    availabilities = Availabilities(registry, integrations)
    catalog = Catalog(registry, availabilities)
    upkeep_store = UpkeepStore(database)
    reads: Batcher[Any] = Batcher(upkeep_store.insert_reads, max_items=200, max_wait=0.2, capacity=10_000)
    audit, budgets, locks = AuditLog(database), Budgets(database), Locks(database, listener)
    stores = Stores(
        invocations=Invocations(database),
        upkeep=upkeep_store,
        budgets=budgets,
        locks=locks,
        reads=reads,
        inventory=lambda tenant, provider: Assets(database, tenant, provider),
    )
    owner = str(uuid4())
    handling = Handling(stores, max_output_bytes=settings.max_output_bytes)
    preparation = Preparation(registry, availabilities, connections, max_input_bytes=settings.max_input_bytes)
    runner = Runner(stores.invocations, handling)
    executor = Executor(
        preparation,
        handling,
        runner,
        stores,
        owner=owner,
        keyed_hash=vault.keyed_hash,
        max_running=settings.max_running,
    )
    api_keys, tenant_store = ApiKeyRows(database), TenantStore(database)
    tokens = _tokens(settings)
    return House(
        settings=settings,
        owner=owner,
        database=database,
        listener=listener,
        registry=registry,
        authenticator=Authenticator(api_keys, tokens=tokens, mode=settings.auth, listen=(settings.listen,)),
        tokens=tokens,
        tenants=Tenants(tenant_store),
        tenant_store=tenant_store,
        api_keys=api_keys,
        connections=connections,
        availabilities=availabilities,
        catalog=catalog,
        watches=Watches(catalog, availabilities),
        pickers=Pickers(registry, executor),
        preparation=preparation,
        executor=executor,
        executions=Executions(registry, stores.invocations, upkeep_store, executor, runner.cancel),
        runner=runner,
        upkeep=Upkeep(
            registry,
            upkeep_store,
            stores.invocations,
            connections,
            runner,
            executor,
            owner=owner,
            settings=_upkeep(settings),
            prunings=(lambda: audit.prune(datetime.now(UTC) - settings.keep_audit), budgets.prune, locks.prune),
        ),
        upkeep_store=upkeep_store,
        audit=audit,
        reads=reads,
        http=http,
    )


def master_keys(settings: Settings) -> MasterKeys:
    """Returns the keys that encrypt credentials: from the file named, the environment, or a file of our own."""
    if settings.master_key_file is not None:
        return MasterKeys.from_file(settings.master_key_file)
    return MasterKeys.from_environment() or MasterKeys.ensure_file(settings.data_dir / "master.key")


def _tokens(settings: Settings) -> JwtVerifier | None:
    if not (settings.jwt_issuer and settings.jwt_audience and settings.jwt_jwks_url):
        return None
    return JwtVerifier(
        JwtSettings(
            issuer=settings.jwt_issuer,
            audience=settings.jwt_audience,
            jwks_url=settings.jwt_jwks_url,
            allow_loopback_http=settings.jwt_jwks_url.startswith("http://"),
        )
    )


def _upkeep(settings: Settings) -> UpkeepSettings:
    return UpkeepSettings(
        lease_seconds=settings.lease_seconds,
        keep_payloads=settings.keep_payloads,
        keep_tombstones=settings.keep_tombstones,
        keep_keyless_tombstones=settings.keep_keyless_tombstones,
    )


async def close(house: House) -> None:
    """Closes every part, the database last."""
    await house.listener.close()
    await house.connections.aclose()
    await asyncio.gather(house.audit.close(), house.reads.close())
    if house.tokens is not None:
        await house.tokens.aclose()
    await house.http.close()
    await house.database.close()


def door(house: House) -> Door:
    """Returns the gRPC port that serves a house."""
    gate = Gatekeeper(house.authenticator, _auditor(house.audit))
    settings = house.settings
    administration = Administration(
        house.tenant_store,
        house.tenants,
        house.api_keys,
        permissions=default_permissions(house.registry),
        forget=house.authenticator.forget,
    )
    servicers = {
        _service(executor_pb2, "ActionExecutor"): ActionExecutorServicer(
            house.tenants, house.executor, house.executions, house.preparation
        ),
        _service(catalog_pb2, "Catalog"): CatalogServicer(house.tenants, house.catalog, house.pickers, house.watches),
        _service(connections_pb2, "Connections"): ConnectionsServicer(house.connections, house.tenants),
        _service(identity_pb2, "Identity"): IdentityServicer(administration),
    }
    return Door(
        servicers,
        DirectHandlers(house.registry, house.tenants, house.executor, gate),
        [module.definition.service.full_name for module in house.registry.modules.values()],
        gate,
        largest=max(settings.max_input_bytes, settings.max_output_bytes),
        with_reflection=settings.reflection,
        shared_port=settings.workers > 1,
    )


def _auditor(log: AuditLog) -> Audit:
    async def audit(call: CallInfo) -> None:
        run_id, step_path = call.run
        await log.add(
            AuditEntry(
                caller=call.caller.name,
                operation=call.operation,
                outcome=call.outcome,
                reason=call.reason,
                tenant=call.tenant,
                actor=call.actor,
                peer=call.peer,
                action=call.action,
                action_version=call.version,
                execution_id=call.execution,
                run_id=run_id,
                step_path=step_path,
            )
        )

    return audit


def _service(file: ModuleType, name: str) -> ServiceDescriptor:
    descriptor: ServiceDescriptor = file.DESCRIPTOR.services_by_name[name]
    return descriptor
