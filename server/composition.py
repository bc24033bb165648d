"""Putting the rooms together: from settings and a database to every part of a server."""

import asyncio
import importlib
import pkgutil
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cached_property, partial
from importlib.metadata import entry_points
from uuid import uuid4

from server import modules as builtin
from server.core.availability import Availabilities
from server.core.board import Boards
from server.core.bot_inbound import BotInbound
from server.core.bot_tokens import BotTokens
from server.core.catalog import Catalog
from server.core.connection_tokens import ConnectionTokens
from server.core.connections import Connections
from server.core.directory import Directory
from server.core.execution import Executor
from server.core.feeds import Feeds
from server.core.handling import Handling
from server.core.identity import Authenticator
from server.core.jwt import JwtSettings, JwtVerifier
from server.core.master_keys import MasterKeys
from server.core.outbox import Dispatcher, DispatchSettings
from server.core.pickers import Pickers
from server.core.ports import Stores
from server.core.preparation import Preparation
from server.core.records import ReadRecord
from server.core.registry import Registry
from server.core.running import Runner
from server.core.settling import Executions
from server.core.tenancy import Tenants
from server.core.upkeep import Upkeep, UpkeepSettings
from server.core.vault import Vault
from server.core.watch import Watches
from server.sdk.http import HttpPool
from server.sdk.module import Registrar
from server.settings import Settings
from server.store.accounts import Accounts
from server.store.alerts import Alerts, prune_alerts
from server.store.api_keys import ApiKeyRows
from server.store.audit import AuditLog
from server.store.batch import Batcher
from server.store.bots import BotActivities, BotConnections, prune_bot_activities
from server.store.budgets import Budgets
from server.store.calendars import Calendars
from server.store.conversations import Conversations
from server.store.credentials import SystemSecretRows
from server.store.database import Database
from server.store.directory import DirectoryRows
from server.store.feeds import FeedRows
from server.store.integrations import IntegrationRows
from server.store.inventory import Assets
from server.store.invocations import Invocations
from server.store.listen import Listener
from server.store.locks import Locks
from server.store.outbox import Outbox
from server.store.schedule import Board
from server.store.technicians import Technicians
from server.store.tenants import Tenants as TenantStore
from server.store.tokens import TokenRows
from server.store.upkeep import Upkeep as UpkeepStore

ENTRY_POINTS = "patchbay.modules"
Register = Callable[[Registrar], None]
_TOKEN_LEASE = 9.0  # seconds that others wait for a replica that died while it renewed a token


def all_modules(registrar: Registrar) -> None:
    """Registers the modules of this package, then those that installed packages offer by entry point."""
    for found in pkgutil.iter_modules(builtin.__path__):
        importlib.import_module(f"{builtin.__name__}.{found.name}").register(registrar)
    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda one: one.name):
        entry.load()(registrar)


class House:
    """Every part of a running server, each made once, when it is first asked for.

    Args:
        settings: What the operator set.
        registry: The modules.
        database: The migrated database.
        listener: Hears of changes on other replicas.
        vault: Encrypts credentials.
    """

    def __init__(
        self, settings: Settings, registry: Registry, database: Database, listener: Listener, vault: Vault
    ) -> None:
        self.settings = settings
        self.registry = registry
        self.database = database
        self.listener = listener
        self.vault = vault
        self.owner = str(uuid4())
        self.http = HttpPool()

    @cached_property
    def api_keys(self) -> ApiKeyRows:
        """Where API keys are stored."""
        return ApiKeyRows(self.database)

    @cached_property
    def tokens(self) -> JwtVerifier | None:
        """Checks tokens of the configured issuer. None: there is none."""
        return _tokens(self.settings)

    @cached_property
    def bot_tokens(self) -> BotTokens:
        """Checks tokens of the Bot Framework."""
        return BotTokens(self.settings.bot_identity_url)

    @cached_property
    def bot_inbound(self) -> BotInbound:
        """Takes what Teams tells bots."""
        return BotInbound(self.bot_tokens, BotConnections(self.database), partial(BotActivities, self.database))

    @cached_property
    def authenticator(self) -> Authenticator:
        """Says who calls."""
        settings = self.settings
        return Authenticator(self.api_keys, tokens=self.tokens, mode=settings.auth, listen=(settings.listen,))

    @cached_property
    def tenant_store(self) -> TenantStore:
        """Where tenants are stored."""
        return TenantStore(self.database)

    @cached_property
    def tenants(self) -> Tenants:
        """Says which tenant a call is for."""
        return Tenants(self.tenant_store)

    @cached_property
    def integrations(self) -> IntegrationRows:
        """Where connections are stored."""
        return IntegrationRows(self.database, self.registry.consumers)

    @cached_property
    def connections(self) -> Connections:
        """The connections of tenants, and their vendor clients."""
        locks = Locks(self.database, self.listener, lease=_TOKEN_LEASE)
        tokens = ConnectionTokens(TokenRows(self.database), self.vault, locks)
        changed = self.availabilities.forget
        return Connections(self.registry, self.integrations, self.vault, self.http, tokens, changed)

    @cached_property
    def directory(self) -> Directory:
        """Technicians, and what they work on."""
        return Directory(DirectoryRows(self.database, self.registry.consumers), self.stores.accounts)

    @cached_property
    def availabilities(self) -> Availabilities:
        """Which modules a tenant can use."""
        return Availabilities(self.registry, self.integrations)

    @cached_property
    def catalog(self) -> Catalog:
        """Tiles and actions."""
        return Catalog(self.registry, self.availabilities)

    @cached_property
    def watches(self) -> Watches:
        """Streams of changes of the catalog."""
        return Watches(self.catalog, self.availabilities)

    @cached_property
    def pickers(self) -> Pickers:
        """Choices of input fields."""
        return Pickers(self.registry, self.executor)

    @cached_property
    def boards(self) -> Boards:
        """Boards of technicians."""
        return Boards(self.stores.schedule, Technicians(self.database))

    @cached_property
    def feeds(self) -> Feeds:
        """Calendar feeds."""
        return Feeds(FeedRows(self.database), self.stores.schedule)

    @cached_property
    def invocations(self) -> Invocations:
        """Where claims and outcomes are stored."""
        return Invocations(self.database)

    @cached_property
    def upkeep_store(self) -> UpkeepStore:
        """Leases, take-over, reads, retention in the database."""
        return UpkeepStore(self.database)

    @cached_property
    def reads(self) -> Batcher[ReadRecord]:
        """READ executions on their way into the database."""
        return Batcher(self.upkeep_store.insert_reads, max_items=200, max_wait=0.2, capacity=10_000)

    @cached_property
    def audit(self) -> AuditLog:
        """Who did what."""
        return AuditLog(self.database)

    @cached_property
    def budgets(self) -> Budgets:
        """Vendor budgets."""
        return Budgets(self.database)

    @cached_property
    def locks(self) -> Locks:
        """Named locks."""
        return Locks(self.database, self.listener)

    @cached_property
    def stores(self) -> Stores:
        """What executing needs from the store."""
        return Stores(
            invocations=self.invocations,
            upkeep=self.upkeep_store,
            budgets=self.budgets,
            locks=self.locks,
            reads=self.reads,
            inventory=partial(Assets, self.database),
            alerts=partial(Alerts, self.database),
            accounts=partial(Accounts, self.database),
            conversations=partial(Conversations, self.database),
            schedule=partial(Board, self.database, consumers=self.registry.consumers),
        )

    @cached_property
    def handling(self) -> Handling:
        """Calls handlers."""
        return Handling(self.stores, max_output_bytes=self.settings.max_output_bytes)

    @cached_property
    def preparation(self) -> Preparation:
        """Checks calls before their claim."""
        limit = self.settings.max_input_bytes
        return Preparation(self.registry, self.availabilities, self.connections, max_input_bytes=limit)

    @cached_property
    def runner(self) -> Runner:
        """The executions of this process."""
        return Runner(self.invocations, self.handling)

    @cached_property
    def executor(self) -> Executor:
        """Executes actions."""
        return Executor(
            self.preparation,
            self.handling,
            self.runner,
            self.stores,
            owner=self.owner,
            keyed_hash=self.vault.keyed_hash,
            max_running=self.settings.max_running,
        )

    @cached_property
    def executions(self) -> Executions:
        """Answers about executions, settles and cancels them."""
        return Executions(self.registry, self.invocations, self.upkeep_store, self.executor, self.runner.cancel)

    @cached_property
    def upkeep(self) -> Upkeep:
        """What this replica does beside executing."""
        return Upkeep(
            self.registry,
            self.upkeep_store,
            self.invocations,
            self.connections,
            self.runner,
            self.executor,
            self.budgets,
            owner=self.owner,
            settings=_upkeep(self.settings),
            prunings=(
                self._prune_audit,
                self.budgets.prune,
                self.locks.prune,
                partial(prune_alerts, self.database),
                self.dispatcher.prune,
                partial(prune_bot_activities, self.database),
            ),
        )

    @cached_property
    def outbox(self) -> Outbox:
        """Events and where they are to arrive."""
        return Outbox(self.database)

    @cached_property
    def dispatcher(self) -> Dispatcher:
        """Delivers events."""
        settings = self.settings
        return Dispatcher(
            self.registry,
            self.outbox,
            self.connections,
            self.stores,
            partial(Calendars, self.database),
            DispatchSettings(
                try_seconds=settings.delivery_seconds, tries=settings.delivery_tries, keep=settings.keep_events
            ),
        )

    async def _prune_audit(self) -> None:
        await self.audit.prune(datetime.now(UTC) - self.settings.keep_audit)

    async def close(self) -> None:
        """Closes every part, the database last."""
        await self.listener.close()
        await self.connections.aclose()
        await asyncio.gather(self.audit.close(), self.reads.close())
        if self.tokens is not None:
            await self.tokens.aclose()
        if self.settings.bot_listen:
            await self.bot_tokens.aclose()
        await self.http.close()
        await self.database.close()


async def build(settings: Settings, dsn: str, register: Register = all_modules) -> House:
    """Opens the database and puts a house together; starts nothing."""
    registry = Registry()
    register(registry)
    database = await Database.open(dsn, max_size=settings.pool_size)
    try:
        vault = await Vault.load(master_keys(settings), SystemSecretRows(database))
    except BaseException:
        await database.close()
        raise
    return House(settings, registry, database, Listener(dsn), vault)


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
