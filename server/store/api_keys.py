"""API keys: table `api_keys`, seen in the system scope only."""

from collections.abc import Callable, Sequence
from typing import Final

import asyncpg

from server.core.api_keys import ApiKey
from server.store.database import Connection, Database

_COLUMNS: Final = "key_id, secret_hash, label, tenants, permissions, created_at, created_by, expires_at, revoked_at"
_FIND: Final = f"SELECT {_COLUMNS} FROM api_keys WHERE key_id = $1"
_LIST: Final = f"""
    SELECT {_COLUMNS} FROM api_keys WHERE $1::uuid[] IS NULL OR tenants <@ $1
    ORDER BY created_at DESC, key_id
"""
_ADD: Final = f"""
    INSERT INTO api_keys (key_id, secret_hash, label, tenants, permissions, created_by, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING {_COLUMNS}
"""
_REVOKE: Final = f"""
    UPDATE api_keys SET revoked_at = now() WHERE key_id = $1 AND revoked_at IS NULL RETURNING {_COLUMNS}
"""
_ANY: Final = "SELECT EXISTS (SELECT FROM api_keys)"
_LOCK: Final = "LOCK TABLE api_keys IN SHARE ROW EXCLUSIVE MODE"


class ApiKeyRows:
    """The store of API keys. Raises DatabaseUnavailable when PostgreSQL does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, key_id: str) -> ApiKey | None:
        """Returns a key, revoked and ended ones too."""
        async with self._database.system() as connection:
            return _key(await connection.fetchrow(_FIND, key_id))

    async def any(self) -> bool:
        """Says whether a key was ever made."""
        async with self._database.system() as connection:
            return bool(await connection.fetchval(_ANY))

    async def add(self, key: ApiKey) -> ApiKey:
        """Stores a new key; its time of creation is the database's."""
        async with self._database.system() as connection:
            return await _add(connection, key)

    async def add_first(self, make: Callable[[], ApiKey]) -> ApiKey | None:
        """Stores what `make` returns when no key was ever made; others that try wait for the outcome."""
        async with self._database.system() as connection, connection.transaction():
            await connection.execute(_LOCK)
            return None if await connection.fetchval(_ANY) else await _add(connection, make())

    async def list(self, within: frozenset[str] | None) -> Sequence[ApiKey]:
        """Returns keys, newest first: all, or those whose tenants are all within the given ones."""
        async with self._database.system() as connection:
            rows = await connection.fetch(_LIST, None if within is None else sorted(within))
        return [key for key in map(_key, rows) if key is not None]

    async def revoke(self, key_id: str) -> ApiKey | None:
        """Revokes a key; one that is revoked already keeps its time."""
        async with self._database.system() as connection:
            row = await connection.fetchrow(_REVOKE, key_id)
            return _key(row or await connection.fetchrow(_FIND, key_id))


async def _add(connection: Connection, key: ApiKey) -> ApiKey:
    tenants = None if key.tenants is None else sorted(key.tenants)
    permissions = list(key.permissions)
    row = await connection.fetchrow(
        _ADD, key.id, key.secret_hash, key.label, tenants, permissions, key.created_by, key.expires_at
    )
    stored = _key(row)
    if stored is None:
        raise RuntimeError("INSERT returned no row")
    return stored


def _key(row: asyncpg.Record | None) -> ApiKey | None:
    if row is None:
        return None
    return ApiKey(
        id=row["key_id"],
        secret_hash=row["secret_hash"],
        label=row["label"],
        tenants=None if row["tenants"] is None else frozenset(map(str, row["tenants"])),
        permissions=tuple(row["permissions"]),
        created_at=row["created_at"],
        created_by=row["created_by"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
    )
