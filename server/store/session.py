"""One connection that knows whose rows it sees, and what it means when PostgreSQL does not answer."""

from typing import TYPE_CHECKING, Final, Self

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from server.errors import DatabaseUnavailable

if TYPE_CHECKING:
    Connection = PoolConnectionProxy[asyncpg.Record]
    _Base = asyncpg.Connection[asyncpg.Record]
else:
    Connection = PoolConnectionProxy
    _Base = asyncpg.Connection

ROLE: Final = "patchbay_app"
"""The role that every statement runs as: no superuser, no owner, subject to row-level security."""

EVERY_TENANT: Final = "*"

_UNAVAILABLE: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InternalClientError,
    ConnectionError,
    TimeoutError,
)
_NOTHING_HAPPENED: Final = (
    asyncpg.CannotConnectNowError,
    asyncpg.InsufficientResourcesError,
    asyncpg.QueryCanceledError,
    asyncpg.ReadOnlySQLTransactionError,
)


def unavailable(error: BaseException, *, closed: bool) -> DatabaseUnavailable | None:
    """Returns what an error during a statement means for the caller, None when it is not about availability.

    Args:
        error: What the block raised.
        closed: Whether the connection is closed now; tells a lost connection from other driver errors.
    """
    lost = closed and isinstance(error, asyncpg.InterfaceError | OSError)
    if not lost and not isinstance(error, _UNAVAILABLE):
        return None
    settled = isinstance(error, _NOTHING_HAPPENED)
    return DatabaseUnavailable(
        f"PostgreSQL did not finish a statement ({type(error).__name__}).", maybe_committed=not settled
    )


class ScopedConnection(_Base):
    """A connection with the tenant whose rows row-level security lets it see; None: not known."""

    scope: str | None = None

    def get_reset_query(self) -> str:
        """Resets nothing: the scope is the only session state in use, and keeping it saves a round trip."""
        return ""

    async def reset(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - the signature is asyncpg's
        """Ends a transaction that was left open; costs nothing when there is none."""
        # `_top_xact` outlives a BEGIN that failed; nothing public tells.
        if getattr(self, "_top_xact", None) is not None or self.is_in_transaction():
            await super().reset(timeout=timeout)

    async def enter_scope(self, scope: str) -> None:
        """Makes the rows of a tenant visible, or of every tenant with `*`; free when they are already."""
        if self.scope == scope:
            return
        self.scope = None
        await self.execute("SELECT set_config('patchbay.tenant', $1, false)", scope)
        self.scope = scope

    def itself(self) -> Self:
        """Returns the connection behind the pool's proxy, which can still be asked after the pool has dropped it."""
        return self
