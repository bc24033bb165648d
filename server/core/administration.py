"""Tenants and API keys, as operators and tenant admins manage them. Nobody can give what it does not have."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from server.core.api_keys import ApiKey, ApiKeys, new_token
from server.core.caller import Caller, covered
from server.core.master_keys import write_private
from server.core.refusals import FieldViolation, Refusal
from server.core.registry import Registry
from server.core.tenancy import TenantDirectory, TenantRow, Tenants

PERMISSION: Final = "identity"

_SERVICES: Final = ("catalog", "executions.read")


def default_permissions(registry: Registry) -> tuple[str, ...]:
    """Returns what a key may do when nothing is said: catalog, reading executions, every action."""
    families = {action.definition.permission.partition(".")[0] for action in registry.actions}
    return (*_SERVICES, *(f"{family}.*" for family in sorted(families)))


async def ensure_bootstrap_key(keys: ApiKeys, file: Path) -> bool:
    """Makes the first operator key, for everything, unless a key was ever made; says whether it did.

    The file is written, readable by its owner only, before the key counts: a crash in between leaves a file
    that the next start replaces, never a key that nobody knows.
    """

    def make() -> ApiKey:
        key_id, token, secret_hash = new_token()
        write_private(file, f"{token}\n")
        return ApiKey(
            id=key_id,
            secret_hash=secret_hash,
            label="operator",
            tenants=None,
            permissions=("*",),
            created_at=datetime.now(UTC),
            created_by="bootstrap",
        )

    return await keys.add_first(make) is not None


class Administration:
    """Use cases of the Identity service. Callers have the permission `identity` already.

    Args:
        directory: Where tenants are stored.
        tenants: Resolves names of tenants.
        keys: Where keys are stored.
        permissions: What a key may do when nothing is said.
        forget: Called with the id of each key that changed, so that this process knows at once.
    """

    def __init__(
        self,
        directory: TenantDirectory,
        tenants: Tenants,
        keys: ApiKeys,
        *,
        permissions: Sequence[str],
        forget: Callable[[str], None],
    ) -> None:
        self._directory = directory
        self._tenants = tenants
        self._keys = keys
        self._permissions = tuple(permissions)
        self._forget = forget

    async def create_tenant(self, caller: Caller, slug: str, tenant: str = "") -> TenantRow:
        """Creates a tenant or returns the one that has slug and id; raises Refusal TENANT_EXISTS."""
        if caller.tenants is not None:
            raise Refusal("PERMISSION_DENIED", "A caller that is bound to tenants cannot create one.")
        return await self._directory.create(slug, tenant or None)

    async def list_tenants(self, caller: Caller) -> Sequence[TenantRow]:
        """Returns the tenants that the caller may name, by slug."""
        return await self._directory.list(caller.tenants)

    async def create_key(
        self,
        caller: Caller,
        label: str,
        tenants: Sequence[str],
        permissions: Sequence[str],
        expires_at: datetime | None,
    ) -> tuple[ApiKey, str]:
        """Creates a key and returns it with the whole key, which is not stored anywhere.

        Args:
            caller: Who gives.
            label: What the key is for.
            tenants: Ids or slugs. Empty: every tenant that the caller may name.
            permissions: Patterns. Empty: the default ones.
            expires_at: When it ends. None: never.

        Raises:
            Refusal: PERMISSION_DENIED or TENANT_FORBIDDEN for what the caller does not have itself,
                TENANT_UNKNOWN, INPUT_INVALID for an end in the past.
        """
        wanted = tuple(dict.fromkeys(permissions)) or self._permissions
        _demand_all(caller, wanted)
        _demand_future(expires_at)
        key_id, token, secret_hash = new_token()
        key = ApiKey(
            id=key_id,
            secret_hash=secret_hash,
            label=label,
            tenants=await self._granted_tenants(caller, tenants),
            permissions=wanted,
            created_at=datetime.now(UTC),
            created_by=caller.name,
            expires_at=expires_at,
        )
        stored = await self._keys.add(key)
        self._forget(key_id)
        return stored, token

    async def list_keys(self, caller: Caller) -> Sequence[ApiKey]:
        """Returns the keys whose tenants are all within the caller's, newest first."""
        return await self._keys.list(caller.tenants)

    async def revoke_key(self, caller: Caller, key_id: str) -> ApiKey:
        """Revokes a key; again is harmless. Raises Refusal API_KEY_UNKNOWN, for hidden keys too."""
        known = await self._keys.find(key_id)
        if known is None or not _within(known, caller):
            raise Refusal("API_KEY_UNKNOWN", "There is no such API key.")
        revoked = await self._keys.revoke(key_id)
        self._forget(key_id)
        return revoked or known

    async def _granted_tenants(self, caller: Caller, names: Sequence[str]) -> frozenset[str] | None:
        if names:
            return frozenset([await self._tenants.resolve(caller, name) for name in names])
        if caller.tenants is not None and not caller.tenants:
            raise Refusal("TENANT_FORBIDDEN", "The caller may act for no tenant, so it cannot give one.")
        return caller.tenants


def _within(key: ApiKey, caller: Caller) -> bool:
    return caller.tenants is None or (key.tenants is not None and key.tenants <= caller.tenants)


def _demand_all(caller: Caller, wanted: Sequence[str]) -> None:
    lacking = [permission for permission in wanted if not covered([permission], caller.permissions)]
    if lacking:
        named = ", ".join(f"`{permission}`" for permission in lacking)
        raise Refusal("PERMISSION_DENIED", f"The caller cannot give what it does not have: {named}.")


def _demand_future(expires_at: datetime | None) -> None:
    if expires_at is not None and expires_at <= datetime.now(UTC):
        violation = FieldViolation("expire_time", "lies in the past; give a later time or none", "expire_time")
        raise Refusal("INPUT_INVALID", "The key would have ended already.", violations=[violation])
