"""A connection as it is stored, and how its settings are sealed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from google.protobuf.message import DecodeError, Message

from server.contract.definitions import MessageContract
from server.core.master_keys import MasterKeyUnknown
from server.core.registry import RegisteredModule
from server.core.vault import Sealed, SecretContext, SecretUnreadable, Vault
from server.gen.patchbay.v1 import connections_pb2, failure_pb2
from server.sdk.failures import ActionFailure
from server.sdk.http import EgressGrant

NOTIFY_CHANNEL: Final = "patchbay_availability"
"""PostgreSQL notifies here with the id of a tenant whose connections changed."""

_PURPOSE: Final = "connection settings"
_DAMAGED: Final = "The stored credentials cannot be read."


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredConnection:
    """One row of `rmm_integrations`.

    Attributes:
        tenant: The tenant's id.
        id: The connection's id.
        provider: Provider, such as `tacticalrmm`.
        instance_url: The vendor's address. Empty: the provider has one fixed address.
        is_active: Whether it may be used.
        connected_at: When the vendor last accepted the credentials.
        settings: Settings as JSON, without secrets.
        grant: What it may reach beside public https addresses.
        revision: Grows with each change of settings, credentials or activity.
        last_failure: Result of the last test. None: it succeeded.
    """

    tenant: str
    id: str
    provider: str
    instance_url: str
    is_active: bool
    connected_at: datetime | None
    settings: Mapping[str, Any]
    grant: connections_pb2.EgressGrant
    revision: int
    last_failure: failure_pb2.Failure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedTokens:
    """A token set as it is stored; `lifetime` and `remaining` of its access token in seconds."""

    sealed: Sealed
    lifetime: float
    remaining: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedConnection:
    """What the vendor accepted and is to be stored.

    Attributes:
        connection: Id, provider, address, settings and grant count; its id only when there is no row yet.
        seal: Encrypts the settings for the id that the row has in the end.
        seal_tokens: The same for tokens that the vendor gave meanwhile, by slot. None: it gave none.
    """

    connection: StoredConnection
    seal: Callable[[str], Sealed]
    seal_tokens: Callable[[str], Mapping[str, SealedTokens]] | None = None


class ConnectionStore(Protocol):
    """Where connections are stored. Every method sees the rows of the tenant only."""

    async def load(self, tenant: str, provider: str) -> tuple[StoredConnection, Sealed | None] | None:
        """Returns a connection with its sealed settings, in one query."""

    async def list(self, tenant: str) -> Sequence[StoredConnection]:
        """Returns the tenant's connections by provider."""

    async def save(self, accepted: AcceptedConnection) -> StoredConnection:
        """Stores or replaces a connection, credentials and tokens in one transaction: active, connected now."""

    async def record_test(
        self, connection: StoredConnection, failure: failure_pb2.Failure | None
    ) -> StoredConnection | None:
        """Records a test of that revision; None when the connection has changed meanwhile."""

    async def deactivate(self, tenant: str, provider: str) -> StoredConnection | None:
        """Makes a connection inactive and deletes its credentials and tokens; None when there is none."""


def demand_active(connection: StoredConnection, label: str) -> None:
    """Raises ActionFailure INTEGRATION_INACTIVE for a connection that is switched off."""
    if not connection.is_active:
        raise ActionFailure("INTEGRATION_INACTIVE", f"The connection to {label} is switched off.")


def seal_settings(vault: Vault, tenant: str, connection_id: str, settings: Message) -> Sealed:
    """Encrypts all settings, not only secrets: whoever can write rows must not redirect credentials."""
    context = settings_context(tenant, connection_id)
    return vault.seal(settings.SerializeToString(deterministic=True), context)


def open_settings(
    vault: Vault, module: RegisteredModule, connection: StoredConnection, sealed: Sealed | None
) -> Message:
    """Returns the settings of a connection; raises ActionFailure when they cannot be read."""
    if sealed is None:
        raise _unreadable("No credentials are stored for the connection.")
    plain = unsealed(vault, sealed, settings_context(connection.tenant, connection.id))
    try:
        return contract_of(module).message_class.FromString(plain)
    except DecodeError:
        raise _unreadable(_DAMAGED) from None


def unsealed(vault: Vault, sealed: Sealed, context: SecretContext) -> bytes:
    """Returns what was sealed for a connection; raises ActionFailure when it cannot be read."""
    try:
        return vault.unseal(sealed, context)
    except MasterKeyUnknown as error:
        message = f"The credentials were encrypted by master key `{error.key_id}`, which the server does not have."
        remedy = f"Have an operator add the master key `{error.key_id}`, or connect again."
        raise ActionFailure("INTEGRATION_MISCONFIGURED", message, remedy=remedy) from None
    except SecretUnreadable:
        raise _unreadable(_DAMAGED) from None


def settings_context(tenant: str, connection_id: str) -> SecretContext:
    """Returns whose settings they are, as the vault authenticates it."""
    return SecretContext(tenant=tenant, owner=connection_id, purpose=_PURPOSE)


def contract_of(module: RegisteredModule) -> MessageContract:
    """Returns the contract of a module's settings."""
    if module.definition.connection is None:
        raise TypeError(f"{module.definition.group_key} has nothing to connect")
    return module.definition.connection


def egress_of(grant: connections_pb2.EgressGrant) -> EgressGrant:
    """Returns a grant that was checked before it was stored in the form that the HTTP client obeys."""
    return EgressGrant.parse(list(grant.private_networks), grant.plain_http)


def _unreadable(message: str) -> ActionFailure:
    return ActionFailure("INTEGRATION_MISCONFIGURED", message, remedy="Connect the tool again for this tenant.")
