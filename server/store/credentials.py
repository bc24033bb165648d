"""Encrypted secrets: `connection_credentials`, `connection_tokens`, `system_secrets`. Nothing here can decrypt them."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import asyncpg

from server.core.connection_records import settings_context
from server.core.connection_tokens import token_context
from server.core.vault import FINGERPRINT_CONTEXT, Sealed, SecretContext, StoredSecret
from server.store.database import Connection, Database

SEALED_COLUMNS: Final = "c.key_id, c.key_nonce, c.wrapped_key, c.nonce, c.ciphertext"

_STORE: Final = """
    INSERT INTO connection_credentials
        (tenant, integration_id, key_id, key_nonce, wrapped_key, nonce, ciphertext)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (tenant, integration_id) DO UPDATE SET
        key_id = excluded.key_id, key_nonce = excluded.key_nonce, wrapped_key = excluded.wrapped_key,
        nonce = excluded.nonce, ciphertext = excluded.ciphertext
"""
_STALE: Final = f"""
    SELECT c.tenant, c.integration_id, {SEALED_COLUMNS} FROM %s c
    WHERE c.key_id <> $1 AND ($2::uuid IS NULL OR (c.tenant, c.integration_id) > ($2, $3::uuid))
    ORDER BY c.tenant, c.integration_id FETCH FIRST $4 ROWS WITH TIES
"""
_REWRAP: Final = """
    UPDATE %s c
    SET key_id = n.key_id, key_nonce = n.key_nonce, wrapped_key = n.wrapped_key
    FROM unnest($1::uuid[], $2::uuid[], $3::bytea[], $4::text[], $5::bytea[], $6::bytea[])
        AS n (tenant, integration_id, before, key_id, key_nonce, wrapped_key)
    WHERE c.tenant = n.tenant AND c.integration_id = n.integration_id AND c.wrapped_key = n.before
"""
_KEEP: Final = """
    INSERT INTO system_secrets (name, key_id, key_nonce, wrapped_key, nonce, ciphertext)
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (name) DO NOTHING
"""
_KEPT: Final = f"SELECT {SEALED_COLUMNS} FROM system_secrets c WHERE c.name = $1"
_STALE_OWN: Final = f"""
    SELECT c.name, {SEALED_COLUMNS} FROM system_secrets c
    WHERE c.key_id <> $1 AND ($2::text IS NULL OR c.name > $2) ORDER BY c.name LIMIT $3
"""
_REWRAP_OWN: Final = """
    UPDATE system_secrets SET key_id = $3, key_nonce = $4, wrapped_key = $5 WHERE name = $1 AND wrapped_key = $2
"""


class _ConnectionSecrets:
    """One table with a secret of each connection, for rotation: all tenants."""

    def __init__(self, database: Database, table: str, context: Callable[[str, str], SecretContext]) -> None:
        self._database = database
        self._stale = _STALE % table
        self._rewrap = _REWRAP % table
        self._context = context

    async def wrapped_by_others(self, key_id: str, after: tuple[Any, ...] | None, limit: int) -> Sequence[StoredSecret]:
        """Returns rows that another master key wrapped, by tenant and connection; those of one connection together."""
        async with self._database.system() as connection:
            rows = await connection.fetch(self._stale, key_id, *(after or (None, None)), limit)
        return [self._secret(row) for row in rows]

    async def rewrap(self, changes: Sequence[tuple[StoredSecret, Sealed]]) -> int:
        """Replaces the wrapping of rows that are still as they were read; returns how many."""
        columns: list[list[Any]] = [[], [], [], [], [], []]
        for before, sealed in changes:
            values = (*before.position, before.sealed.wrapped_key)
            values += (sealed.key_id, sealed.key_nonce, sealed.wrapped_key)
            for column, value in zip(columns, values, strict=True):
                column.append(value)
        async with self._database.system() as connection:
            return _count(await connection.execute(self._rewrap, *columns))

    def _secret(self, row: asyncpg.Record) -> StoredSecret:
        context = self._context(str(row["tenant"]), str(row["integration_id"]))
        return StoredSecret((row["tenant"], row["integration_id"]), context, sealed_in(row))


class CredentialRows(_ConnectionSecrets):
    """Credentials of connections, for rotation."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, "connection_credentials", settings_context)


class TokenSecrets(_ConnectionSecrets):
    """Tokens of connections, for rotation."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, "connection_tokens", token_context)


class SystemSecretRows:
    """The server's own secrets, by name."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, name: str, candidate: Sealed) -> Sealed:
        """Stores the candidate unless the name has a secret already; returns the one that is stored."""
        async with self._database.system() as connection:
            await connection.execute(_KEEP, name, *sealed_values(candidate))
            row = await connection.fetchrow(_KEPT, name)
        stored = None if row is None else sealed_of(row)
        if stored is None:
            raise RuntimeError(f"the secret `{name}` vanished while it was stored")
        return stored

    async def wrapped_by_others(self, key_id: str, after: tuple[Any, ...] | None, limit: int) -> Sequence[StoredSecret]:
        """Returns rows that another master key wrapped, by name."""
        async with self._database.system() as connection:
            rows = await connection.fetch(_STALE_OWN, key_id, *(after or (None,)), limit)
        return [StoredSecret((row["name"],), FINGERPRINT_CONTEXT, sealed_in(row)) for row in rows]

    async def rewrap(self, changes: Sequence[tuple[StoredSecret, Sealed]]) -> int:
        """Replaces the wrapping of rows that are still as they were read; returns how many."""
        done = 0
        async with self._database.system() as connection:
            for before, sealed in changes:
                values = (before.sealed.wrapped_key, sealed.key_id, sealed.key_nonce, sealed.wrapped_key)
                done += _count(await connection.execute(_REWRAP_OWN, *before.position, *values))
        return done


async def store_credentials(connection: Connection, tenant: str, connection_id: str, sealed: Sealed) -> None:
    """Stores or replaces the credentials of a connection within the caller's transaction."""
    await connection.execute(_STORE, tenant, connection_id, *sealed_values(sealed))


def sealed_of(row: asyncpg.Record) -> Sealed | None:
    """Returns the sealed secret in a row; None when the row has none."""
    return None if row["key_id"] is None else sealed_in(row)


def sealed_in(row: asyncpg.Record) -> Sealed:
    """Returns the sealed secret in a row that has one."""
    names = ("key_id", "key_nonce", "wrapped_key", "nonce", "ciphertext")
    return Sealed(**{name: row[name] for name in names})


def sealed_values(sealed: Sealed) -> tuple[Any, ...]:
    """Returns the values of SEALED_COLUMNS, in their order."""
    return sealed.key_id, sealed.key_nonce, sealed.wrapped_key, sealed.nonce, sealed.ciphertext


def _count(tag: str) -> int:
    return int(tag.rpartition(" ")[2])
