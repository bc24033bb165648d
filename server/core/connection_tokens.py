"""The tokens of connections: sealed, shared by all replicas, renewed by one of them at a time.

A renewal takes the connection's lock, reads what is stored, notes that it began before its first byte leaves, and
stores the answer before anybody uses it. Nothing removes tokens but connecting again and disconnecting. Why it is so,
and what no process can save, stands in docs/decisions/0012-oauth.md.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple, Protocol

from server.core.connection_records import SealedTokens, unsealed
from server.core.persistence import persist
from server.core.ports import Locks
from server.core.vault import SecretContext, Vault
from server.errors import DatabaseUnavailable
from server.sdk.context import Deadline
from server.sdk.failures import ActionFailure
from server.sdk.tokens import TokenKeeper, TokenSet, TokenTurn

_PURPOSE: Final = "connection tokens"
_TURN_SECONDS: Final = 60.0
_CLOSING_SECONDS: Final = 10.0


class TokenOwner(NamedTuple):
    """Whose tokens they are: one revision of a connection, and what for when it has several sets."""

    tenant: str
    connection_id: str
    revision: int
    slot: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTokens:
    """One row of `connection_tokens`.

    Attributes:
        tokens: The tokens.
        generation: Grows with each set that is stored.
        refreshing_since: When a renewal began whose end nobody has recorded. None: there is none.
    """

    tokens: SealedTokens
    generation: int
    refreshing_since: datetime | None


class TokenStore(Protocol):
    """Where tokens are stored; see server/store/tokens.py."""

    async def load(self, owner: TokenOwner) -> StoredTokens | None:
        """Returns the tokens of a connection's revision; None when there are none."""

    async def begin(self, owner: TokenOwner, seed: SealedTokens) -> int | None:
        """Notes that a renewal is under way and returns the generation; None when the connection has changed."""

    async def undo(self, owner: TokenOwner, generation: int, since: datetime | None) -> None:
        """Puts the note of a renewal back to what it was."""

    async def keep(self, owner: TokenOwner, generation: int, fresh: SealedTokens) -> bool:
        """Replaces the tokens of that generation; False when others are stored, or none."""


class ConnectionTokens:
    """The tokens of all connections, as this process uses them."""

    def __init__(self, store: TokenStore, vault: Vault, locks: Locks) -> None:
        self._store = store
        self._vault = vault
        self._locks = locks
        self._turns = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def keeper(self, owner: TokenOwner) -> TokenKeeper:
        """Returns where the tokens of a stored connection are kept."""
        return _Keeper(self, self._store, self._vault, owner)

    async def aclose(self) -> None:
        """Waits for renewals under way, 10 seconds at most: an answer that is not stored may be lost for good."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSING_SECONDS):
                await self._idle.wait()

    @asynccontextmanager
    async def held(self, owner: TokenOwner) -> AsyncIterator[None]:
        """Holds the connection's lock for the block."""
        self._turns += 1
        self._idle.clear()
        try:
            name = f"tokens/{owner.connection_id}/{owner.slot}".rstrip("/")
            async with self._locks.hold(owner.tenant, name, Deadline.after(_TURN_SECONDS)):
                yield
        finally:
            self._turns -= 1
            if not self._turns:
                self._idle.set()


def token_context(tenant: str, connection_id: str) -> SecretContext:
    """Returns whose tokens they are, as the vault authenticates it."""
    return SecretContext(tenant=tenant, owner=connection_id, purpose=_PURPOSE)


def seal_tokens(vault: Vault, tenant: str, connection_id: str, tokens: TokenSet) -> SealedTokens:
    """Encrypts a token set."""
    plain = json.dumps({"access_token": tokens.access_token, "refresh_token": tokens.refresh_token})
    return SealedTokens(
        sealed=vault.seal(plain.encode(), token_context(tenant, connection_id)),
        lifetime=tokens.lifetime,
        remaining=tokens.expires.remaining(),
    )


class _Keeper:
    """Where the tokens of one connection's revision are kept."""

    def __init__(self, tokens: ConnectionTokens, store: TokenStore, vault: Vault, owner: TokenOwner) -> None:
        self._tokens = tokens
        self._store = store
        self._vault = vault
        self._owner = owner

    def slot(self, name: str) -> TokenKeeper:
        """Returns where the tokens of that name are kept."""
        return _Keeper(self._tokens, self._store, self._vault, self._owner._replace(slot=name))

    async def load(self) -> TokenSet | None:
        """Returns the tokens; None when there are none."""
        row = await self._store.load(self._owner)
        return None if row is None else self.opened(row)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[TokenTurn]:
        """Waits for the right to renew and holds it for the block."""
        async with self._tokens.held(self._owner):
            yield _Turn(self, await self._store.load(self._owner))

    async def begin(self, old: TokenSet) -> int:
        """Notes that a renewal is under way; returns the generation of what is stored."""
        generation = await self._store.begin(self._owner, self._sealed(old))
        if generation is None:
            raise _changed()
        return generation

    async def undo(self, generation: int, since: datetime | None) -> None:
        """Takes the note back; without a database it stays, which does no harm."""
        with suppress(DatabaseUnavailable):
            await self._store.undo(self._owner, generation, since)

    async def keep(self, generation: int, fresh: TokenSet) -> TokenSet:
        """Stores tokens, however long the database is away; returns those that are stored in the end."""
        sealed = self._sealed(fresh)
        if await persist(lambda: self._store.keep(self._owner, generation, sealed)):
            return fresh
        row = await persist(lambda: self._store.load(self._owner))
        if row is None:
            raise _changed()
        return self.opened(row)

    def opened(self, row: StoredTokens) -> TokenSet:
        """Returns the tokens of a row; raises ActionFailure when they cannot be read."""
        context = token_context(self._owner.tenant, self._owner.connection_id)
        plain = json.loads(unsealed(self._vault, row.tokens.sealed, context))
        # The database's clock may jump; no access token outlives what the vendor gave it.
        left = min(row.tokens.remaining, row.tokens.lifetime)
        return TokenSet(**plain, expires=Deadline.after(left), lifetime=row.tokens.lifetime)

    def _sealed(self, tokens: TokenSet) -> SealedTokens:
        return seal_tokens(self._vault, self._owner.tenant, self._owner.connection_id, tokens)


class _Turn:
    """The right to renew, held."""

    def __init__(self, keeper: _Keeper, row: StoredTokens | None) -> None:
        self.stored = None if row is None else keeper.opened(row)
        self._keeper = keeper
        self._since = row.refreshing_since if row else None
        self._generation: int | None = None

    @property
    def interrupted(self) -> bool:
        """Whether an earlier renewal began and nobody knows how it ended."""
        return self._since is not None

    async def begin(self, old: TokenSet) -> None:
        """Notes that a renewal is under way."""
        self._generation = await self._keeper.begin(old)

    async def undo(self) -> None:
        """Takes the note back: the vendor certainly changed nothing."""
        if self._generation is not None:
            await self._keeper.undo(self._generation, self._since)

    async def keep(self, fresh: TokenSet) -> TokenSet:
        """Stores the new tokens and returns those that are stored."""
        if self._generation is None:
            raise RuntimeError("tokens came without a request")
        return await self._keeper.keep(self._generation, fresh)


def _changed() -> ActionFailure:
    message = "The connection was changed or ended while a token was obtained for it."
    return ActionFailure("INTERRUPTED", message)
