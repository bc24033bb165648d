"""Tokens of connections: table `connection_tokens`. Times are told by PostgreSQL's clock, as what is left of them."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from server.core.connection_records import SealedTokens
from server.core.connection_tokens import StoredTokens, TokenOwner
from server.store.credentials import SEALED_COLUMNS, sealed_in, sealed_values
from server.store.database import Connection, Database

_LOAD: Final = f"""
    SELECT c.generation, c.lifetime, c.refreshing_since,
        extract(epoch FROM c.expires_at - clock_timestamp())::float8 AS remaining, {SEALED_COLUMNS}
    FROM connection_tokens c WHERE c.tenant = $1 AND c.integration_id = $2 AND c.revision = $3 AND c.slot = $4
"""
# The lock on the connection keeps a row of this revision from being made while another one replaces it.
_BEGIN: Final = """
    INSERT INTO connection_tokens AS c
        (tenant, integration_id, revision, slot, generation, lifetime, expires_at, refreshing_since,
         key_id, key_nonce, wrapped_key, nonce, ciphertext)
    SELECT i.tenant, i.integration_id, i.revision, $4, 0, $5, clock_timestamp() + $6::interval, clock_timestamp(),
        $7::text, $8::bytea, $9::bytea, $10::bytea, $11::bytea
    FROM rmm_integrations i
    WHERE i.tenant = $1 AND i.integration_id = $2 AND i.revision = $3 AND i.is_active
    FOR SHARE
    ON CONFLICT (tenant, integration_id, slot) DO UPDATE SET
        refreshing_since = coalesce(c.refreshing_since, clock_timestamp())
    WHERE c.revision = $3
    RETURNING c.generation
"""
_UNDO: Final = """
    UPDATE connection_tokens SET refreshing_since = $6
    WHERE tenant = $1 AND integration_id = $2 AND revision = $3 AND slot = $4 AND generation = $5
"""
_KEEP: Final = """
    UPDATE connection_tokens SET
        generation = generation + 1, lifetime = $6, expires_at = clock_timestamp() + $7::interval,
        refreshing_since = NULL,
        key_id = $8, key_nonce = $9, wrapped_key = $10, nonce = $11, ciphertext = $12
    WHERE tenant = $1 AND integration_id = $2 AND revision = $3 AND slot = $4 AND generation = $5
"""
_DESTROY: Final = "DELETE FROM connection_tokens WHERE tenant = $1 AND integration_id = $2"
_INSERT: Final = """
    INSERT INTO connection_tokens
        (tenant, integration_id, revision, slot, generation, lifetime, expires_at,
         key_id, key_nonce, wrapped_key, nonce, ciphertext)
    VALUES ($1, $2, $3, $4, 1, $5, clock_timestamp() + $6::interval, $7, $8, $9, $10, $11)
"""


class TokenRows:
    """The tokens of all connections. Raises DatabaseUnavailable when PostgreSQL does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self, owner: TokenOwner) -> StoredTokens | None:
        """Returns the tokens of a connection's revision; None when there are none."""
        async with self._database.tenant(owner.tenant) as connection:
            row = await connection.fetchrow(_LOAD, *owner)
        if row is None:
            return None
        sealed = SealedTokens(sealed=sealed_in(row), lifetime=row["lifetime"], remaining=row["remaining"])
        return StoredTokens(tokens=sealed, generation=row["generation"], refreshing_since=row["refreshing_since"])

    async def begin(self, owner: TokenOwner, seed: SealedTokens) -> int | None:
        """Notes that a renewal is under way; stores the seed where there are no tokens.

        Returns:
            Generation of the tokens that are stored; None when the connection has another revision or is inactive.
        """
        async with self._database.tenant(owner.tenant) as connection:
            found: int | None = await connection.fetchval(_BEGIN, *owner, *_values(seed))
        return found

    async def undo(self, owner: TokenOwner, generation: int, since: datetime | None) -> None:
        """Puts the note of a renewal back to what it was."""
        async with self._database.tenant(owner.tenant) as connection:
            await connection.execute(_UNDO, *owner, generation, since)

    async def keep(self, owner: TokenOwner, generation: int, fresh: SealedTokens) -> bool:
        """Replaces the tokens of that generation; False when others are stored, or none."""
        async with self._database.tenant(owner.tenant) as connection:
            return await connection.execute(_KEEP, *owner, generation, *_values(fresh)) == "UPDATE 1"


async def replace_tokens(connection: Connection, owner: TokenOwner, tokens: Mapping[str, SealedTokens]) -> None:
    """Removes all of a connection's tokens and stores the new ones, by slot, within the caller's transaction."""
    await connection.execute(_DESTROY, owner.tenant, owner.connection_id)
    for slot, one in tokens.items():
        await connection.execute(_INSERT, *owner._replace(slot=slot), *_values(one))


def _values(tokens: SealedTokens) -> tuple[object, ...]:
    return tokens.lifetime, timedelta(seconds=tokens.remaining), *sealed_values(tokens.sealed)
