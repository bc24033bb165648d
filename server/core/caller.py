"""Who calls, and what they may do."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from server.core.refusals import Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """An authenticated caller.

    Attributes:
        name: For audit: `key:<id>`, `jwt:<subject>` or `local` (nothing configured, loopback only).
        tenants: Ids of the tenants that it may name. None: every tenant.
        permissions: Patterns such as `tacticalrmm.agents.*`; `*` is everything.
        peer: Address it calls from.
    """

    name: str
    tenants: frozenset[str] | None
    permissions: tuple[str, ...]
    peer: str = ""

    def may(self, permission: str) -> bool:
        """Says whether a permission is granted."""
        return any(fnmatchcase(permission, pattern) for pattern in self.permissions)

    def demand(self, permission: str) -> None:
        """Raises Refusal PERMISSION_DENIED unless the permission is granted."""
        if not self.may(permission):
            raise Refusal("PERMISSION_DENIED", f"The caller lacks the permission `{permission}`.")

    def demand_read(self, permission: str) -> None:
        """Raises Refusal PERMISSION_DENIED unless the permission, or its part `.read`, is granted."""
        if not self.may(permission):
            self.demand(f"{permission}.read")

    def may_name(self, tenant: str) -> bool:
        """Says whether the caller may act for a tenant, by id."""
        return self.tenants is None or tenant in self.tenants

    @property
    def only_tenant(self) -> str | None:
        """The tenant of a caller that is bound to exactly one."""
        if self.tenants is not None and len(self.tenants) == 1:
            return next(iter(self.tenants))
        return None


def covered(wanted: Sequence[str], granted: Sequence[str]) -> bool:
    """Says whether every wanted pattern is no broader than one of the granted ones."""
    return all(any(fnmatchcase(pattern, grant) for grant in granted) for pattern in wanted)
