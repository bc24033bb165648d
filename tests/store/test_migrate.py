"""Migrations: once, in order, by whoever comes first, never backwards."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from server.errors import DatabaseUnavailable
from server.store.database import Database, UnsafeRole
from server.store.embedded import EmbeddedPostgres
from server.store.migrate import (
    MIGRATIONS,
    VERSION_TABLE,
    MigrationFailed,
    SchemaMismatch,
    migrate,
    require_current,
)
from tests.support.postgres import apart, named, statement

pytestmark = pytest.mark.anyio

_numbers = count(1)
_ROOT = Path(__file__).parents[2]
_PROGRAM = "import asyncio, sys; from server.store.migrate import migrate; print(asyncio.run(migrate(sys.argv[1])))"


@pytest.fixture
def empty(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The connection string of a database without any table."""
    name = f"empty_{next(_numbers)}"
    apart(statement(postgres.dsn, f"CREATE DATABASE {name}"))
    yield named(postgres.dsn, name)
    apart(statement(postgres.dsn, f"DROP DATABASE {name} WITH (FORCE)"))


async def _fetch(dsn: str, sql: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetch(sql)
    finally:
        await connection.close()


def _newest() -> str:
    return max(file.stem for file in MIGRATIONS.glob("*.sql"))


async def test_a_second_run_changes_nothing(empty: str) -> None:
    """Migrating is idempotent and returns the stem of the last file."""
    assert await migrate(empty) == _newest()
    assert await migrate(empty) == _newest()
    assert await require_current(empty) == _newest()


def test_processes_that_start_together_migrate_once(empty: str) -> None:
    """Three processes at once on an empty database all succeed; the version is recorded once."""
    command = [sys.executable, "-c", _PROGRAM, empty]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=_ROOT)
        for _ in range(3)
    ]
    answers = [process.communicate(timeout=60) for process in running]
    assert [(process.returncode, out.strip()) for process, (out, _) in zip(running, answers, strict=True)] == [
        (0, _newest())
    ] * 3, answers
    assert [tuple(row) for row in apart(_fetch(empty, f"SELECT * FROM {VERSION_TABLE}"))] == [(_newest(),)]


async def test_new_files_run_on_an_older_database(empty: str, tmp_path: Path) -> None:
    """A database at an older version gets what is missing, and only that."""
    shutil.copy(MIGRATIONS / "0001_foundation.sql", tmp_path)
    assert await migrate(empty, tmp_path) == "0001_foundation"
    (tmp_path / "0002_more.sql").write_text("CREATE TABLE more (x int); INSERT INTO more VALUES (1), (2);")
    with pytest.raises(SchemaMismatch, match="needs 0002_more"):
        await require_current(empty, tmp_path)
    assert await migrate(empty, tmp_path) == "0002_more"
    assert [row["x"] for row in await _fetch(empty, "SELECT x FROM more")] == [1, 2]


async def test_a_newer_database_is_refused(empty: str, tmp_path: Path) -> None:
    """A program that is older than the database says so and touches nothing."""
    shutil.copy(MIGRATIONS / "0001_foundation.sql", tmp_path)
    await migrate(empty)
    with pytest.raises(SchemaMismatch, match="newer than this program"):
        await migrate(empty, tmp_path)
    assert await require_current(empty) == _newest()


async def test_a_file_that_fails_leaves_the_database_as_it_was(empty: str, tmp_path: Path) -> None:
    """All pending files are one transaction: no file before the broken one stays applied."""
    (tmp_path / "0001_good.sql").write_text("CREATE TABLE good (x int);")
    (tmp_path / "0002_bad.sql").write_text("CREATE TABLE worse (x int); SELECT 1 / 0;")
    with pytest.raises(MigrationFailed, match=r"0002_bad\.sql: division by zero"):
        await migrate(empty, tmp_path)
    tables = await _fetch(empty, "SELECT relname FROM pg_class WHERE relname IN ('good', 'worse')")
    assert tables == []


async def test_without_a_server_there_is_a_clear_error(tmp_path: Path) -> None:
    """Nobody listening is DatabaseUnavailable, for migrations and for the pool; nothing can have been committed."""
    dsn = f"postgresql://postgres@/patchbay?host={tmp_path}"
    with pytest.raises(DatabaseUnavailable, match="cannot be reached"):
        await migrate(dsn)
    with pytest.raises(DatabaseUnavailable) as caught:
        await Database.open(dsn)
    assert not caught.value.maybe_committed


async def test_a_role_that_could_see_everything_is_refused(postgres: EmbeddedPostgres, empty: str) -> None:
    """The server refuses to work when its role bypasses row-level security."""
    await migrate(empty)
    await statement(postgres.dsn, "ALTER ROLE patchbay_app BYPASSRLS")
    try:
        with pytest.raises(UnsafeRole, match="bypass"):
            await Database.open(empty)
    finally:
        await statement(postgres.dsn, "ALTER ROLE patchbay_app NOBYPASSRLS")


async def test_a_superuser_login_works_as_the_harmless_role(empty: str) -> None:
    """On a foreign database with a superuser's login, statements run as `patchbay_app`."""
    await migrate(empty)
    database = await Database.open(empty, min_size=1, max_size=1)
    async with database.system() as connection:
        assert await connection.fetchval("SELECT current_user") == "patchbay_app"
    await database.close()


async def test_a_stranger_cannot_become_the_role(postgres: EmbeddedPostgres, empty: str) -> None:
    """A login without membership is refused with the remedy."""
    await migrate(empty)
    await statement(postgres.dsn, "CREATE ROLE stranger LOGIN")
    with pytest.raises(UnsafeRole, match="grant it the membership"):
        await Database.open(empty.replace("postgres@", "stranger@"))


async def test_an_owner_that_is_no_superuser_can_migrate(postgres: EmbeddedPostgres, empty: str) -> None:
    """A login with CREATEROLE that owns the database migrates it and then works in it."""
    await statement(postgres.dsn, "CREATE ROLE landlord LOGIN CREATEROLE")
    await statement(postgres.dsn, "GRANT patchbay_app TO landlord WITH ADMIN OPTION")
    await statement(postgres.dsn, f"ALTER DATABASE {urlsplit(empty).path[1:]} OWNER TO landlord")
    dsn = empty.replace("postgres@", "landlord@")
    assert await migrate(dsn) == _newest()
    database = await Database.open(dsn, min_size=1, max_size=1)
    async with database.system() as connection:
        await connection.execute("INSERT INTO tenants VALUES (gen_random_uuid(), 'one')")
    await database.close()


def test_file_names_fit_the_version_table() -> None:
    """Versions are the stems of the files: numbered without repeats, at most 32 characters."""
    stems = sorted(file.stem for file in MIGRATIONS.glob("*.sql"))
    assert all(len(stem) <= 32 and stem[:4].isdigit() and stem[4] == "_" for stem in stems)
    assert len({stem[:4] for stem in stems}) == len(stems)
