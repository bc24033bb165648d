"""Brings a database to the schema of this version: Alembic runs the numbered SQL files of `migrations/` in order.

All pending files run in one transaction under an advisory lock, so a database is at one version or another, never
between, and replicas that start together wait for the first one.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import asyncpg
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection as SqlConnection
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from server.errors import DatabaseUnavailable, PatchbayError

MIGRATIONS: Final = Path(__file__).parent / "migrations"
VERSION_TABLE: Final = "patchbay_schema_version"
_LOCK: Final = 0x7061746368626179  # "patchbay" in ASCII; advisory locks are numbers and belong to one database
_LOCK_SECONDS: Final = 120
_CONNECT_SECONDS: Final = 10.0


class MigrationFailed(PatchbayError):
    """The schema could not be changed; the database is as it was before."""


class SchemaMismatch(PatchbayError):
    """The database is at another schema version than this program works with."""


async def migrate(dsn: str, folder: Path = MIGRATIONS) -> str:
    """Runs what is pending and returns the version that the database is at, the stem of the last file.

    The login role must be allowed to create tables, and to create the role `patchbay_app` unless it exists.

    Raises:
        SchemaMismatch: The database is newer than this program.
        MigrationFailed: A file failed, or another process held the lock for two minutes.
        DatabaseUnavailable: PostgreSQL cannot be reached.
    """
    scripts = _SqlScripts(folder)
    async with _connected(dsn) as connection:
        try:
            await connection.run_sync(_upgrade, scripts)
            await connection.commit()
        except DBAPIError as error:
            raise MigrationFailed(f"The schema could not be changed: {error.orig}") from error
    return scripts.newest


async def require_current(dsn: str, folder: Path = MIGRATIONS) -> str:
    """Returns the version of a database without changing it; raises SchemaMismatch unless it is this program's."""
    scripts = _SqlScripts(folder)
    async with _connected(dsn) as connection:
        found = await connection.run_sync(_version_of, scripts)
    if found != scripts.newest:
        raise SchemaMismatch(
            f"The database is at schema {found or '(none)'}, this program needs {scripts.newest}: run `migrate`."
        )
    return found


class _SqlScripts(ScriptDirectory):
    """The SQL files of a folder as a line of Alembic revisions, named by their stems, in the order of their names."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, version_locations=[folder])
        self.files = sorted(folder.glob("[0-9]*.sql"))
        if not self.files:
            raise MigrationFailed(f"The installation is broken: no migrations in {folder.name}/.")

    @property
    def newest(self) -> str:
        """The version after the last file."""
        return self.files[-1].stem

    def _load_revisions(self) -> Iterator[Script]:
        before: str | None = None
        for file in self.files:
            yield Script(_as_module(file, before), file.stem, file)
            before = file.stem

    def steps(self, current: Any) -> Any:
        """Returns what has to run, from the revisions that the database is at."""
        return self._upgrade_revs("head", current)


def _as_module(file: Path, before: str | None) -> ModuleType:
    module = ModuleType(file.stem, f"SQL file {file.name}.")
    vars(module).update(revision=file.stem, down_revision=before, upgrade=partial(_run, file))
    return module


def _run(file: Path, connection: SqlConnection) -> None:
    # Through the driver itself: SQLAlchemy would prepare the text, and a prepared statement holds one command only.
    sql = file.read_text(encoding="utf-8")
    driver: Any = connection.connection.dbapi_connection
    try:
        driver.run_async(lambda raw: raw.execute(sql, timeout=None))
    except asyncpg.PostgresError as error:
        raise MigrationFailed(f"{file.name}: {error}") from error


def _upgrade(connection: SqlConnection, scripts: _SqlScripts) -> None:
    connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    _version_of(connection, scripts)
    options = {"version_table": VERSION_TABLE, "fn": lambda current, _context: scripts.steps(current)}
    MigrationContext.configure(connection, opts=options).run_migrations(connection=connection)


def _version_of(connection: SqlConnection, scripts: _SqlScripts) -> str | None:
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    found = context.get_current_revision()
    if found is not None and found not in {file.stem for file in scripts.files}:
        raise SchemaMismatch(
            f"The database is at schema {found}, newer than this program, which ends at {scripts.newest}: "
            "run the newer version, or restore the backup from before the upgrade."
        )
    return found


@asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator[AsyncConnection]:
    async def connect(*_arguments: Any, **_options: Any) -> Any:
        # With the driver's own reading of the connection string, so that the server and its migrations agree on it.
        return await asyncpg.connect(dsn, timeout=_CONNECT_SECONDS)

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            yield connection
    except (OSError, asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError) as error:
        raise DatabaseUnavailable(f"PostgreSQL cannot be reached ({type(error).__name__}).") from error
    finally:
        await engine.dispose()
