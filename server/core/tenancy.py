"""Which tenant a call is for."""

from collections import OrderedDict
from collections.abc import Collection, Sequence
from datetime import datetime
from time import monotonic
from typing import Final, NoReturn, Protocol
from uuid import UUID

from server.core.caller import Caller
from server.core.refusals import Refusal

_KEPT_SECONDS: Final = 60.0
_KEPT_TENANTS: Final = 20_000


class TenantRow(Protocol):
    """One tenant."""

    @property
    def id(self) -> str:
        """UUID in canonical form."""

    @property
    def slug(self) -> str:
        """Short name, unique."""

    @property
    def created_at(self) -> datetime:
        """When it was created."""


class TenantDirectory(Protocol):
    """Where tenants are stored."""

    async def create(self, slug: str, id: str | None = None) -> TenantRow:
        """Creates a tenant, or returns the one that has slug and id; raises Refusal TENANT_EXISTS."""

    async def resolve(self, name: str) -> TenantRow | None:
        """Returns the tenant with that id or slug."""

    async def list(self, ids: Collection[str] | None = None) -> Sequence[TenantRow]:
        """Returns tenants by slug: all, or those with the ids."""


class Tenants:
    """Resolves the tenant of a call. Known names stay in memory: a tenant keeps its id and slug for good."""

    def __init__(self, directory: TenantDirectory) -> None:
        self._directory = directory
        self._kept: OrderedDict[str, tuple[str, float]] = OrderedDict()

    async def resolve(self, caller: Caller, name: str) -> str:
        """Returns the id of the tenant that a caller names.

        Args:
            caller: Who names it.
            name: UUID or slug. Empty: the caller's only tenant.

        Raises:
            Refusal: TENANT_REQUIRED, TENANT_UNKNOWN or TENANT_FORBIDDEN. A bound caller gets TENANT_FORBIDDEN
                for tenants that do not exist, too, so that it cannot find out which do.
        """
        wanted = canonical_id(name) or name
        if not wanted:
            wanted = _only(caller)
        elif canonical_id(wanted) and not caller.may_name(wanted):
            _forbid()
        tenant = await self._find(wanted)
        if tenant is None:
            if caller.may_name(wanted):
                raise Refusal("TENANT_UNKNOWN", f"There is no tenant `{wanted}`.")
            _forbid()
        if not caller.may_name(tenant):
            _forbid()
        return tenant

    async def _find(self, name: str) -> str | None:
        kept = self._kept.get(name)
        if kept is not None and monotonic() < kept[1]:
            return kept[0]
        row = await self._directory.resolve(name)
        if row is None:
            return None
        self._kept[name] = (row.id, monotonic() + _KEPT_SECONDS)
        while len(self._kept) > _KEPT_TENANTS:
            self._kept.popitem(last=False)
        return row.id


def canonical_id(name: str) -> str | None:
    """Returns the canonical form of a UUID; None for everything else, slugs without hyphens included."""
    if len(name) != 36:
        return None
    try:
        return str(UUID(name))
    except ValueError:
        return None


def _only(caller: Caller) -> str:
    if caller.tenants is not None and not caller.tenants:
        raise Refusal("TENANT_FORBIDDEN", "The caller may act for no tenant.")
    if caller.only_tenant is None:
        raise Refusal("TENANT_REQUIRED", "The caller may act for several tenants and named none.")
    return caller.only_tenant


def _forbid() -> NoReturn:
    raise Refusal("TENANT_FORBIDDEN", "The caller may not act for that tenant.")
