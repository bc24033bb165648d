"""Tenants: table `tenants`. An id and its slug belong together for good."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

import asyncpg

from server.core.refusals import FieldViolation, Refusal
from server.store.database import Database

_CREATE = """
    INSERT INTO tenants (tenant, slug) VALUES ($1, $2)
    ON CONFLICT DO NOTHING RETURNING tenant, slug, created_at
"""
_BY_SLUG = "SELECT tenant, slug, created_at FROM tenants WHERE slug = $1"
_BY_ID = "SELECT tenant, slug, created_at FROM tenants WHERE tenant = $1"
_LIST = """
    SELECT tenant, slug, created_at FROM tenants
    WHERE $1::uuid[] IS NULL OR tenant = ANY($1) ORDER BY slug
"""


@dataclass(frozen=True, slots=True)
class TenantRow:
    """One tenant. `id` is a UUID in canonical form."""

    id: str
    slug: str
    created_at: datetime


class TenantExists(Refusal):
    """The id or the slug belongs to another tenant already."""

    def __init__(self, message: str) -> None:
        super().__init__("TENANT_EXISTS", message)


class Tenants:
    """The tenants of this installation."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, slug: str, id: str | None = None) -> TenantRow:
        """Creates a tenant, or returns the one that has this slug (and, when given, this id).

        Args:
            slug: Lower-case letters, digits and inner hyphens, 1 to 63 characters, not shaped like a UUID.
            id: A UUID for a tenant that exists elsewhere; a new one otherwise.

        Raises:
            TenantExists: Slug and id do not belong together.
            Refusal: INPUT_INVALID, the slug is malformed.
        """
        wanted = str(UUID(id)) if id else None
        try:
            async with self._database.system() as connection:
                row = await connection.fetchrow(_CREATE, wanted or str(uuid4()), slug)
                row = row or await connection.fetchrow(_BY_SLUG, slug)
        except asyncpg.CheckViolationError as error:
            violation = FieldViolation("slug", "must be a short name in lower case, not an id", "slug")
            raise Refusal("INPUT_INVALID", f"`{slug}` cannot name a tenant.", violations=[violation]) from error
        if row is None:
            raise TenantExists(f"The id {wanted} belongs to a tenant with another slug.")
        tenant = _tenant(row)
        if wanted and tenant.id != wanted:
            raise TenantExists(f"The slug `{slug}` belongs to a tenant with another id.")
        return tenant

    async def resolve(self, name: str) -> TenantRow | None:
        """Returns the tenant with that id or slug."""
        try:
            query, value = _BY_ID, str(UUID(name)) if len(name) == 36 else ""
        except ValueError:
            value = ""
        if not value:
            query, value = _BY_SLUG, name
        async with self._database.system() as connection:
            row = await connection.fetchrow(query, value)
        return _tenant(row) if row else None

    async def list(self, ids: Collection[str] | None = None) -> Sequence[TenantRow]:
        """Returns tenants by slug: all, or those with the ids."""
        async with self._database.system() as connection:
            rows = await connection.fetch(_LIST, None if ids is None else list(ids))
        return [_tenant(row) for row in rows]


def _tenant(row: asyncpg.Record) -> TenantRow:
    return TenantRow(str(row["tenant"]), row["slug"], row["created_at"])
