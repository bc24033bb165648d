"""API keys in a real database, an issuer of tokens on loopback."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import pytest

from server.core.api_keys import ApiKey, new_token
from server.store.api_keys import ApiKeyRows
from server.store.database import Database
from tests.identity.issuer import Issuer

MakeKey = Callable[..., Awaitable[tuple[ApiKey, str]]]


@pytest.fixture
def keys(database: Database) -> ApiKeyRows:
    """The store of keys."""
    return ApiKeyRows(database)


@pytest.fixture
def make_key(keys: ApiKeyRows) -> MakeKey:
    """Stores a key and returns it with the whole key."""

    async def make(
        tenants: frozenset[str] | None = None,
        permissions: tuple[str, ...] = ("*",),
        expires_at: datetime | None = None,
    ) -> tuple[ApiKey, str]:
        key_id, token, secret_hash = new_token()
        key = ApiKey(
            id=key_id,
            secret_hash=secret_hash,
            label="test",
            tenants=tenants,
            permissions=permissions,
            created_at=datetime.now(UTC),
            created_by="test",
            expires_at=expires_at,
        )
        return await keys.add(key), token

    return make


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    """An issuer with one RSA key, its key set served on loopback."""
    async with Issuer() as running:
        yield running
