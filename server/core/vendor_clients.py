"""The vendor clients of connected tenants, made once per revision of a connection."""

import asyncio
import weakref
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import structlog
from google.protobuf.message import Message

from server.contract.payload import secret_values
from server.core.connection_records import (
    ConnectionStore,
    StoredConnection,
    demand_active,
    egress_of,
    open_settings,
)
from server.core.connection_tokens import ConnectionTokens, TokenOwner
from server.core.registry import RegisteredModule
from server.core.vault import Vault
from server.sdk.failures import ActionFailure
from server.sdk.http import HttpPool
from server.sdk.module import ConnectionScope
from server.sdk.tokens import TokenKeeper

_log = structlog.get_logger(__name__)
_Key = tuple[str, str]


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class ActiveConnection:
    """A connection that can be used now.

    Hold it for as long as its client is in use: a client that was replaced is closed when nobody holds it any
    more.

    Attributes:
        id: Id of the connection. Empty: the module needs none.
        revision: Changes with the settings or credentials.
        client: What the module's `connect` made.
        secrets: Secret values of the connection, for masking.
    """

    id: str
    revision: int
    client: Any = field(repr=False)
    secrets: frozenset[str] = field(repr=False)


NOTHING_TO_CONNECT = ActiveConnection("", 0, None, frozenset())


@dataclass(slots=True)
class _Entry:
    active: ActiveConnection
    fresh_until: float


class VendorClients:
    """Answers from memory while fresh; else compares the revision in the database with one query.

    Args:
        store: Where connections are stored.
        vault: Decrypts their settings.
        http: Where clients get their HTTP client from.
        tokens: The tokens of stored connections.
        fresh_for: Seconds that an answer is used without asking, at most 5, so that a lost notification does
            little harm.
        capacity: Clients kept, the least recently used leave first.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        store: ConnectionStore,
        vault: Vault,
        http: HttpPool,
        tokens: ConnectionTokens,
        *,
        fresh_for: float = 5.0,
        capacity: int = 2_000,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._store = store
        self._vault = vault
        self._http = http
        self._tokens = tokens
        self._fresh_for = min(fresh_for, 5.0)
        self._capacity = capacity
        self._clock = clock
        self._entries: OrderedDict[_Key, _Entry] = OrderedDict()
        self._loads: dict[_Key, asyncio.Task[ActiveConnection]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._finalizers: weakref.WeakKeyDictionary[ActiveConnection, Any] = weakref.WeakKeyDictionary()

    async def get(self, tenant: str, module: RegisteredModule) -> ActiveConnection:
        """Returns the tenant's connection to a module; raises ActionFailure when it cannot be used."""
        key = (tenant, module.definition.provider)
        entry = self._entries.get(key)
        if entry is not None and self._clock() < entry.fresh_until:
            self._entries.move_to_end(key)
            return entry.active
        load = self._loads.get(key)
        if load is None:
            load = self._loads[key] = asyncio.create_task(self._load(key, module), name="vendor client")
            load.add_done_callback(lambda done: self._learn(key, done))
        return await asyncio.shield(load)

    def forget(self, tenant: str) -> None:
        """Makes the next question ask the database; a load under way answers only who waits for it already."""
        for key in [key for key in self._loads if key[0] == tenant]:
            del self._loads[key]
        for key, entry in self._entries.items():
            if key[0] == tenant:
                entry.fresh_until = 0.0

    def forget_all(self) -> None:
        """Like `forget` for every tenant, as after a gap in the notifications."""
        self._loads.clear()
        for entry in self._entries.values():
            entry.fresh_until = 0.0

    async def aclose(self) -> None:
        """Ends loads under way and closes every client, held or not."""
        loads = list(self._loads.values())
        for load in loads:
            load.cancel()
        await asyncio.gather(*loads, return_exceptions=True)
        self._loads.clear()
        self._entries.clear()
        for finalizer in list(self._finalizers.values()):
            finalizer()
        await asyncio.sleep(0)
        await asyncio.gather(*self._closing)

    def make(
        self,
        module: RegisteredModule,
        connection: StoredConnection,
        settings: Message,
        tokens: TokenKeeper | None = None,
    ) -> Any:
        """Returns a new client of the module; nothing is sent. `tokens`: None for those of a stored connection."""
        if module.module.connect is None:
            raise TypeError(f"{module.definition.group_key} has no `connect`")
        http = self._http.client(egress_of(connection.grant))
        owner = TokenOwner(connection.tenant, connection.id, connection.revision)
        return module.module.connect(
            ConnectionScope(
                tenant=connection.tenant,
                connection_id=connection.id,
                settings=settings,
                http=http,
                tokens=tokens or self._tokens.keeper(owner),
            )
        )

    async def _load(self, key: _Key, module: RegisteredModule) -> ActiveConnection:
        connection, sealed = await self._store.load(*key) or (None, None)
        usable = _usable(connection, module.definition.label)
        entry = self._entries.get(key)
        if entry is not None and (entry.active.id, entry.active.revision) == (usable.id, usable.revision):
            return entry.active
        settings = open_settings(self._vault, module, usable, sealed)
        client = self.make(module, usable, settings)
        active = ActiveConnection(usable.id, usable.revision, client, secret_values(settings))
        self._close_when_released(active)
        return active

    def _learn(self, key: _Key, load: asyncio.Task[ActiveConnection]) -> None:
        failed = load.cancelled() or load.exception() is not None
        if self._loads.get(key) is not load:
            return  # forgotten meanwhile: what it read may be older than the change
        del self._loads[key]
        if failed:
            self._entries.pop(key, None)
            return
        self._entries[key] = _Entry(load.result(), self._clock() + self._fresh_for)
        self._entries.move_to_end(key)
        while len(self._entries) > self._capacity:
            self._entries.popitem(last=False)

    def _close_when_released(self, active: ActiveConnection) -> None:
        close = getattr(active.client, "aclose", None)
        if close is not None:
            loop = asyncio.get_running_loop()
            finalizer = weakref.finalize(active, self._close_soon, loop, close)
            finalizer.atexit = False
            self._finalizers[active] = finalizer

    def _close_soon(self, loop: asyncio.AbstractEventLoop, close: Callable[[], Awaitable[None]]) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._start_closing, close)

    def _start_closing(self, close: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.ensure_future(closed(close))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def closed(close: Callable[[], Awaitable[None]]) -> None:
    """Closes a vendor client; a defect of its module is logged by type, since its words may hold a secret."""
    try:
        await close()
    except Exception as error:  # noqa: BLE001 - a module's defect must not take anything else down
        _log.warning("vendor_client_not_closed", error=type(error).__name__)


def _usable(connection: StoredConnection | None, label: str) -> StoredConnection:
    """Raises the failure that the availability rule `rmm_connection` would tell."""
    if connection is None:
        raise ActionFailure("NOT_CONNECTED", f"{label} is not connected for this tenant.")
    demand_active(connection, label)
    if connection.connected_at is None:
        raise ActionFailure("NOT_CONNECTED", f"{label} has never accepted the credentials.")
    return connection
