"""Pooled connections to PostgreSQL, each scoped to one tenant by row-level security.

Code inside `async with database.tenant(tenant) as connection:` sees rows of that tenant and can write no others, even
when it forgets the predicate. A connection keeps its scope when it goes back to the pool, so a statement costs one
round trip when the scope is right and two when it changes.
"""

from contextlib import AbstractAsyncContextManager, suppress
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import asyncpg

from server.errors import DatabaseUnavailable, PatchbayError
from server.store.session import (
    EVERY_TENANT,
    ROLE,
    Connection,
    ScopedConnection,
    unavailable,
)

__all__ = ["Connection", "Database", "DatabaseUnavailable", "UnsafeRole"]

_ACQUIRE_SECONDS = 5.0
_CONNECT_SECONDS = 5.0
_STALE_TRIES = 3
_STATEMENT_SECONDS = 10.0
_LOST_SERVER_SECONDS = 15.0  # the client gives up after the server should have: only a dead network gets here


class UnsafeRole(PatchbayError):
    """The role for statements is missing, or could see the rows of every tenant."""


def session_settings(application_name: str) -> dict[str, str]:
    """Returns the settings that every connection starts with; sent with the start packet, so without a round trip."""
    return {
        "application_name": application_name,
        "role": ROLE,
        "timezone": "UTC",
        "jit": "off",
        "statement_timeout": str(round(_STATEMENT_SECONDS * 1000)),
        "idle_in_transaction_session_timeout": "30000",
    }


class Database:
    """A pool of connections. Reconnects by itself after PostgreSQL was restarted."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    @classmethod
    async def open(cls, dsn: str, *, min_size: int = 2, max_size: int = 10, application_name: str = "patchbay") -> Self:
        """Connects to a migrated database.

        The login role must be `patchbay_app` or be allowed to become it. Pooling proxies must keep sessions apart
        (PgBouncer: session mode).

        Raises:
            DatabaseUnavailable: PostgreSQL cannot be reached or refuses the login.
            UnsafeRole: The database is not migrated, or its role `patchbay_app` is a superuser or bypasses row-level
                security.
        """
        try:
            pool = await asyncpg.create_pool(
                dsn,
                min_size=min_size,
                max_size=max_size,
                connection_class=ScopedConnection,
                server_settings=session_settings(application_name),
                timeout=_CONNECT_SECONDS,
                command_timeout=_LOST_SERVER_SECONDS,
            )
        except (asyncpg.PostgresError, OSError) as error:
            raise _refused(error) from error
        database = cls(pool)
        try:
            await database._demand_harmless_role()
        except BaseException:
            await database.close()
            raise
        return database

    async def close(self) -> None:
        """Waits for connections in use, then closes all."""
        with suppress(asyncpg.PostgresError, OSError, asyncpg.InterfaceError):
            await self._pool.close()

    def tenant(self, tenant: str) -> AbstractAsyncContextManager[Connection]:
        """Lends a connection that sees the rows of one tenant.

        Args:
            tenant: The tenant's id, a UUID.

        Raises:
            DatabaseUnavailable: On entering, or in place of the driver's error inside the block. A TimeoutError
                inside the block counts as one, so nothing but statements should be awaited there.
            ValueError: The id is not a UUID.
        """
        return _Lease(self._pool, str(UUID(tenant)))

    def system(self) -> AbstractAsyncContextManager[Connection]:
        """Lends a connection that sees the rows of every tenant: sweeper, retention, look-ups by secret."""
        return _Lease(self._pool, EVERY_TENANT)

    async def _demand_harmless_role(self) -> None:
        async with self.system() as connection:
            unsafe = await connection.fetchval(
                "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
            )
        if unsafe:
            raise UnsafeRole(f"The role {ROLE} must neither be a superuser nor bypass row-level security.")


class _Lease:
    """One borrowed connection; written as a class because it stands on the path of every call."""

    __slots__ = ("_connection", "_pool", "_proxy", "_scope")

    _proxy: Connection
    _connection: ScopedConnection

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", scope: str) -> None:
        self._pool = pool
        self._scope = scope

    async def __aenter__(self) -> Connection:
        try:
            for _ in range(_STALE_TRIES):
                if await self._borrow():
                    return self._proxy
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            raise _refused(error) from error
        raise DatabaseUnavailable("PostgreSQL closed every connection that was tried.")

    async def _borrow(self) -> bool:
        # A connection that lies ready comes at once; the timer would cost more than it does.
        patience = None if self._pool.get_idle_size() else _ACQUIRE_SECONDS
        proxy: Any = await self._pool.acquire(timeout=patience)
        self._proxy, self._connection = proxy, proxy.itself()
        try:
            await self._connection.enter_scope(self._scope)
        except BaseException as error:
            await self._give_back()
            if isinstance(error, Exception) and self._connection.is_closed():
                return False  # it broke while it lay idle: nothing was asked of it yet, another may take its place
            raise
        return True

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        closed = self._connection.is_closed()
        await self._give_back()
        if error is not None and (translated := unavailable(error, closed=closed)):
            raise translated from error

    async def _give_back(self) -> None:
        # A connection that broke is replaced by the pool; the statements of the block are over either way.
        with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            await self._pool.release(self._proxy)


def _refused(error: BaseException) -> PatchbayError:
    if isinstance(error, asyncpg.InvalidParameterValueError) and ROLE in str(error):
        return UnsafeRole(f"The role {ROLE} does not exist: run the migrations first.")
    if isinstance(error, asyncpg.InsufficientPrivilegeError | asyncpg.InvalidParameterValueError):
        return UnsafeRole(f"The login role may not become {ROLE}: grant it the membership.")
    return DatabaseUnavailable(f"PostgreSQL gives no connection ({type(error).__name__}).")
