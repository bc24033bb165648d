"""Connecting tenants to their tools.

Connect: permission, settings by contract, grant, then the vendor is asked with the new credentials; only when
    it
accepts them are they stored, in one transaction. What it refuses leaves nothing behind, and an existing
connection stays as it is.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, NoReturn
from uuid import uuid4

from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

from server.core.caller import Caller
from server.core.connection_checks import ask_vendor, parsed, without_secrets
from server.core.connection_records import (
    NOTIFY_CHANNEL,
    AcceptedConnection,
    ConnectionStore,
    StoredConnection,
    demand_active,
    open_settings,
    seal_settings,
)
from server.core.connection_tokens import ConnectionTokens, seal_tokens
from server.core.refusals import Refusal
from server.core.registry import RegisteredModule, Registry
from server.core.signing_in import sign_in_address, sign_in_field
from server.core.vault import Vault
from server.core.vendor_clients import NOTHING_TO_CONNECT, ActiveConnection, VendorClients
from server.gen.patchbay.v1 import catalog_pb2, connections_pb2
from server.sdk.failures import ActionFailure
from server.sdk.http import HttpPool
from server.sdk.module import SignIn
from server.sdk.tokens import MemoryTokens, TokenSet

__all__ = ["NOTIFY_CHANNEL", "ActiveConnection", "Connections", "StoredConnection"]

PERMISSION: Final = "connections"
GRANT_PERMISSION: Final = "connections.grant"


class Connections:
    """The connections of all tenants.

    Args:
        registry: The modules.
        store: Where connections are stored.
        vault: Encrypts their settings.
        http: Where vendor clients get their HTTP client from.
        tokens: The tokens of stored connections.
        changed: Told of a tenant whose connections were changed here, before its caller is: what this process keeps
            about them must not be older than what it has just answered.
    """

    def __init__(
        self,
        registry: Registry,
        store: ConnectionStore,
        vault: Vault,
        http: HttpPool,
        tokens: ConnectionTokens,
        changed: Callable[[str], None] | None = None,
    ) -> None:
        self._changed = changed
        self._registry = registry
        self._store = store
        self._vault = vault
        self._tokens = tokens
        self._clients = VendorClients(store, vault, http, tokens)

    async def client(self, tenant: str, module: RegisteredModule) -> ActiveConnection:
        """Returns the connection that an execution uses; from memory while fresh.

        Raises:
            ActionFailure: NOT_CONNECTED, INTEGRATION_INACTIVE or INTEGRATION_MISCONFIGURED.
        """
        if module.module.connect is None:
            return NOTHING_TO_CONNECT
        return await self._clients.get(tenant, module)

    def forget(self, tenant: str) -> None:
        """Makes the next use read the connection again; for notifications on the channel of connections."""
        self._clients.forget(tenant)

    def forget_all(self) -> None:
        """Like `forget` for every tenant; for when notifications may have been lost."""
        self._clients.forget_all()

    async def aclose(self) -> None:
        """Closes the clients, after renewals of their tokens that are under way."""
        await self._tokens.aclose()
        await self._clients.aclose()

    def list_providers(self) -> Sequence[connections_pb2.Provider]:
        """Returns what can be connected, by label."""
        found = [
            connections_pb2.Provider(
                provider=one.definition.provider,
                label=one.definition.label,
                settings=catalog_pb2.ActionSchema(
                    hash=contract.schema.hash,
                    bundled_json=contract.schema.bundled_json,
                    inlined_json=contract.schema.inlined_json,
                ),
                sign_in_field=sign_in_field(one),
            )
            for one in self._registry.modules.values()
            if (contract := one.definition.connection) is not None
        ]
        return sorted(found, key=lambda one: (one.label.casefold(), one.provider))

    async def list(self, tenant: str) -> Sequence[StoredConnection]:
        """Returns the tenant's connections by provider."""
        return await self._store.list(tenant)

    async def connect(
        self,
        caller: Caller,
        tenant: str,
        provider: str,
        settings: Struct,
        grant: connections_pb2.EgressGrant,
        *,
        patience: float | None = None,
    ) -> StoredConnection:
        """Tests settings and credentials at the vendor and stores them when it accepts them.

        Args:
            caller: Who connects; needs `connections.grant` to grant anything.
            tenant: The tenant's id.
            provider: Provider.
            settings: Settings and credentials.
            grant: What the connection may reach beside public https addresses.
            patience: Seconds that the caller waits. None: it did not say.

        Raises:
            Refusal: PERMISSION_DENIED, PROVIDER_UNKNOWN, or INPUT_INVALID with the fields at fault.
            ActionFailure: The vendor or its address was not accepted. Nothing was stored.
        """
        if grant.private_networks or grant.plain_http:
            caller.demand(GRANT_PERMISSION)
        module = self._module(provider)
        message = parsed(module, settings, grant)
        candidate = await self._candidate(tenant, module, message, grant)
        tokens = MemoryTokens()
        await ask_vendor(self._clients, module, candidate, message, patience, tokens)
        stored = await self._store.save(self._accepted(candidate, message, tokens.stored))
        self._tell(tenant)
        return stored

    def _accepted(self, candidate: StoredConnection, message: Message, tokens: TokenSet | None) -> AcceptedConnection:
        vault, tenant = self._vault, candidate.tenant
        return AcceptedConnection(
            connection=candidate,
            seal=lambda connection_id: seal_settings(vault, tenant, connection_id, message),
            seal_tokens=(lambda connection_id: seal_tokens(vault, tenant, connection_id, tokens)) if tokens else None,
        )

    def begin_sign_in(
        self,
        caller: Caller,
        provider: str,
        settings: Struct,
        grant: connections_pb2.EgressGrant,
        sign_in: SignIn,
    ) -> str:
        """Returns the address at which a person signs in to the vendor. Nothing is sent or stored.

        Args:
            caller: Who connects; needs `connections.grant` to grant anything.
            provider: Provider.
            settings: Settings, without what the sign-in will give.
            grant: What the connection may reach beside public https addresses.
            sign_in: What the address must hold.

        Raises:
            Refusal: PERMISSION_DENIED, PROVIDER_UNKNOWN, or INPUT_INVALID with the fields at fault.
            ActionFailure: The vendor's address cannot be used.
        """
        if grant.private_networks or grant.plain_http:
            caller.demand(GRANT_PERMISSION)
        return sign_in_address(self._module(provider), settings, grant, sign_in)

    async def test(self, tenant: str, provider: str, *, patience: float | None = None) -> StoredConnection:
        """Tests the stored credentials at the vendor and returns the connection; `last_failure` is the result.

        A refusal is recorded and leaves the connection active: vendors refuse for passing reasons, too.

        Raises:
            Refusal: PROVIDER_UNKNOWN or CONNECTION_UNKNOWN.
        """
        module = self._module(provider)
        connection, sealed = await self._store.load(tenant, provider) or _unknown(provider)
        failure = None
        try:
            demand_active(connection, module.definition.label)
            message = open_settings(self._vault, module, connection, sealed)
            await ask_vendor(self._clients, module, connection, message, patience)
        except ActionFailure as error:
            failure = error.failure
        recorded = await self._store.record_test(connection, failure)
        return recorded or replace(connection, last_failure=failure)

    async def disconnect(self, tenant: str, provider: str) -> StoredConnection:
        """Makes a connection inactive and destroys its credentials; again is harmless.

        Raises:
            Refusal: PROVIDER_UNKNOWN or CONNECTION_UNKNOWN.
        """
        connection = await self._store.deactivate(tenant, provider)
        if connection is None:
            self._module(provider)
            _unknown(provider)
        self._tell(tenant)
        return connection

    def _tell(self, tenant: str) -> None:
        self.forget(tenant)
        if self._changed is not None:
            self._changed(tenant)

    def _module(self, provider: str) -> RegisteredModule:
        module = self._registry.provider(provider)
        if module is None:
            raise Refusal("PROVIDER_UNKNOWN", f"There is no provider `{provider}`.")
        return module

    async def _candidate(
        self, tenant: str, module: RegisteredModule, settings: Message, grant: connections_pb2.EgressGrant
    ) -> StoredConnection:
        """Returns the connection as it would be stored; raises ActionFailure for a malformed address."""
        provider, address = module.definition.provider, module.module.instance_url
        known = await self._store.load(tenant, provider)
        return StoredConnection(
            tenant=tenant,
            id=known[0].id if known else str(uuid4()),
            provider=provider,
            instance_url=_plain(address(settings)) if address else "",
            is_active=True,
            connected_at=None,
            settings=without_secrets(settings),
            grant=grant,
            revision=0,
        )


def _plain(address: str) -> str:
    """Returns an address that holds nothing but scheme, host, port and path: it is stored and shown."""
    if any(mark in address for mark in "?#@"):
        raise ActionFailure(
            "INTEGRATION_MISCONFIGURED",
            "The address holds more than scheme, host, port and path; credentials have their own fields.",
            field="settings.instance_url",
        )
    return address


def _unknown(provider: str) -> NoReturn:
    raise Refusal("CONNECTION_UNKNOWN", f"The tenant has no connection of `{provider}`.")
