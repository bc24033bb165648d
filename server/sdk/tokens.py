"""The tokens of one connection, and where they are kept for all replicas."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from server.sdk.context import Deadline

_EARLIEST = 300.0
_SHARE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSet:
    """What a token endpoint gave.

    Attributes:
        access_token: Signs requests. Empty: there is none yet.
        refresh_token: Obtains the next set. Empty: the vendor gave none.
        expires: When the access token ends, by this process's monotonic clock.
        lifetime: Seconds between its issue and its end.
    """

    access_token: str = field(repr=False)
    refresh_token: str = field(default="", repr=False)
    expires: Deadline
    lifetime: float

    @property
    def alive(self) -> bool:
        """Whether the access token can still be used."""
        return bool(self.access_token) and self.expires.remaining() > 0

    @property
    def due(self) -> bool:
        """Whether it is time to renew: 5 minutes before the end, or a tenth of its life when that is less."""
        return not self.alive or self.expires.remaining() <= min(_EARLIEST, self.lifetime * _SHARE)


class TokenTurn(Protocol):
    """The right to renew the tokens of a connection; one holder across replicas."""

    @property
    def stored(self) -> TokenSet | None:
        """The tokens as they are now; None: there are none."""

    @property
    def interrupted(self) -> bool:
        """Whether an earlier renewal began and nobody knows how it ended."""

    async def begin(self, old: TokenSet) -> None:
        """Records that a renewal is under way; to be called before its first byte leaves. `old` stays stored."""

    async def undo(self) -> None:
        """Takes the record back: the vendor certainly changed nothing."""

    async def keep(self, fresh: TokenSet) -> TokenSet:
        """Stores the new tokens and returns those that are durable now; nobody may use others."""


class TokenKeeper(Protocol):
    """Where the tokens of one connection are kept."""

    def slot(self, name: str) -> "TokenKeeper":
        """Returns where the tokens of that name are kept, for a connection that needs several sets."""

    async def load(self) -> TokenSet | None:
        """Returns the tokens; None when there are none."""

    def turn(self) -> AbstractAsyncContextManager[TokenTurn]:
        """Waits for the right to renew and holds it for the block."""


class MemoryTokens:
    """Tokens of a connection that is not stored: of one that is being tried.

    Attributes:
        stored: The tokens. None: none yet.
        interrupted: Always false: nobody else renews these.
    """

    def __init__(self) -> None:
        self.stored: TokenSet | None = None
        self.interrupted = False
        self._slots: dict[str, MemoryTokens] = {}

    def slot(self, name: str) -> "MemoryTokens":
        """Returns where the tokens of that name are kept."""
        return self._slots.setdefault(name, MemoryTokens())

    def all(self) -> Mapping[str, TokenSet]:
        """Returns what is stored, by slot; the tokens without a name have the empty one."""
        found = {"": self.stored, **{name: one.stored for name, one in self._slots.items()}}
        return {name: tokens for name, tokens in found.items() if tokens is not None}

    async def load(self) -> TokenSet | None:
        """Returns the tokens; None when there are none."""
        return self.stored

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[TokenTurn]:
        """Holds nothing: the tokens belong to one client."""
        yield self

    async def begin(self, old: TokenSet) -> None:
        """Records nothing."""

    async def undo(self) -> None:
        """Takes nothing back."""

    async def keep(self, fresh: TokenSet) -> TokenSet:
        """Keeps the new tokens."""
        self.stored = fresh
        return fresh
