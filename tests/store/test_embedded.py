"""The embedded PostgreSQL: one owner per folder, nothing left behind, nothing lost."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Timer
from time import sleep

import asyncpg
import pytest

from server.store.embedded import DataFolderInUse, EmbeddedPostgres
from server.store.embedded_files import EmbeddedPostgresFailed, socket_folder
from tests.support.postgres import apart, folder_for_postgres, statement

_ROOT = Path(__file__).parents[2]
_PROGRAM = """
import pathlib, sys
from server.store.embedded import EmbeddedPostgres
server = EmbeddedPostgres(pathlib.Path(sys.argv[1]))
server.start()
print(server.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that does not exist yet."""
    with folder_for_postgres() as folder:
        yield folder


@pytest.fixture
def server(folder: Path) -> Iterator[EmbeddedPostgres]:
    """A server that was started once, on that folder."""
    server = EmbeddedPostgres(folder)
    server.start()
    yield server
    server.stop()


def _ask(dsn: str, sql: str) -> object:
    async def ask() -> object:
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    return apart(ask())


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def _await_end(pid: int) -> None:
    while _alive(pid):
        sleep(0.02)


def test_it_is_postgresql_18_reachable_by_its_owner_only(server: EmbeddedPostgres, folder: Path) -> None:
    """No network address, a folder nobody else can enter, settings that keep values out of the log."""
    assert str(_ask(server.dsn, "SHOW server_version")).startswith("18")
    assert _ask(server.dsn, "SHOW listen_addresses") == ""
    assert _ask(server.dsn, "SHOW fsync") == "on"
    assert folder.stat().st_mode & 0o077 == 0
    assert (folder / "socket").stat().st_mode & 0o077 == 0
    assert _ask(server.app_dsn, "SELECT session_user || rolsuper::text FROM pg_roles WHERE rolname = session_user") == (
        "patchbay_appfalse"
    )


def test_values_stay_out_of_the_log(server: EmbeddedPostgres, folder: Path) -> None:
    """A failing statement with a secret in it leaves no trace of the secret in the server's log."""
    apart(statement(server.dsn, "CREATE TABLE t (x text PRIMARY KEY)"))
    apart(statement(server.dsn, "INSERT INTO t VALUES ('canary-4711')"))
    with pytest.raises(asyncpg.UniqueViolationError):
        apart(statement(server.dsn, "INSERT INTO t VALUES ('canary-4711')"))
    assert "duplicate key" in (folder / "server.log").read_text()
    assert "canary" not in (folder / "server.log").read_text()


def test_data_survives_restart_stop_and_kill(server: EmbeddedPostgres) -> None:
    """What was committed is there after a restart, after stop and start, and after kill -9 of PostgreSQL."""
    apart(statement(server.dsn, "CREATE TABLE t (x int); INSERT INTO t VALUES (7)"))
    server.restart()
    assert _ask(server.dsn, "SELECT x FROM t") == 7
    server.stop()
    server.start()
    pid = server.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    _await_end(pid)
    server.start()
    assert server.pid != pid
    assert _ask(server.dsn, "SELECT x FROM t") == 7


def test_a_server_that_has_just_died_is_started(server: EmbeddedPostgres) -> None:
    """The shell around it, which has not noticed yet, does not pass for a server."""
    guard, pid = server._guard, server.pid
    assert guard is not None
    assert pid is not None
    os.kill(guard.pid, signal.SIGSTOP)
    os.kill(pid, signal.SIGKILL)
    _await_end(pid)
    noticing = Timer(0.3, os.kill, (guard.pid, signal.SIGCONT))
    noticing.start()
    server.start()
    noticing.join()
    assert _ask(server.dsn, "SELECT 1") == 1


def test_starting_twice_is_starting_once(server: EmbeddedPostgres) -> None:
    """A second start of the same object changes nothing; a second stop neither."""
    pid = server.pid
    server.start()
    assert server.pid == pid
    server.stop()
    server.stop()


def test_a_second_server_on_the_folder_is_refused(server: EmbeddedPostgres, folder: Path) -> None:
    """Another owner is told what to do, and the running server goes on."""
    with pytest.raises(DataFolderInUse, match="DATABASE_URL"):
        EmbeddedPostgres(folder).start()
    assert _ask(server.dsn, "SELECT 1") == 1


def test_a_killed_owner_leaves_no_server_behind(folder: Path) -> None:
    """kill -9 of the process that started it shuts PostgreSQL down, and the next start works."""
    owner = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=_ROOT
    )
    assert owner.stdin is not None
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    owner.kill()
    owner.wait()
    owner.stdin.close()
    owner.stdout.close()
    server = EmbeddedPostgres(folder)
    server.start()  # may find the old one still shutting down
    try:
        assert not _alive(pid)
        assert server.pid != pid
    finally:
        server.stop()


def test_an_orphan_is_ended_by_the_next_start(server: EmbeddedPostgres, folder: Path) -> None:
    """When owner and guard were both killed, whoever holds the lock next ends the server that was left."""
    orphan = server.pid
    guard = server._guard
    assert orphan is not None
    assert guard is not None
    assert guard.stdin is not None
    os.kill(guard.pid, signal.SIGKILL)
    guard.wait()
    server._guard = None
    server.stop()
    assert _alive(orphan)
    heir = EmbeddedPostgres(folder)
    heir.start()
    try:
        assert heir.pid != orphan
        assert not _alive(orphan)
    finally:
        heir.stop()
        guard.stdin.close()


def test_an_interrupted_first_start_is_repeated(folder: Path) -> None:
    """Half a cluster is thrown away: only a complete one carries the name that counts."""
    (folder / "cluster.new").mkdir(parents=True)
    (folder / "cluster.new" / "PG_VERSION").write_text("18\n")
    server = EmbeddedPostgres(folder)
    server.start()
    try:
        assert _ask(server.dsn, "SELECT 1") == 1
    finally:
        server.stop()


def test_a_folder_with_other_files_is_refused(folder: Path) -> None:
    """Somebody's documents are neither chowned nor mixed with a cluster."""
    folder.mkdir()
    (folder / "letter.txt").write_text("dear")
    before = folder.stat()
    with pytest.raises(EmbeddedPostgresFailed, match="folder of its own"):
        EmbeddedPostgres(folder).start()
    assert (folder.stat().st_uid, folder.stat().st_mode) == (before.st_uid, before.st_mode)


def test_another_major_version_is_refused(server: EmbeddedPostgres, folder: Path) -> None:
    """A cluster of an older PostgreSQL is left alone, with the way out in the message."""
    server.stop()
    (folder / "cluster" / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedPostgresFailed, match="made by PostgreSQL 17"):
        server.start()


def test_a_broken_setting_is_told_with_the_reason(folder: Path) -> None:
    """When PostgreSQL does not start, its own last words are in the message."""
    with pytest.raises(EmbeddedPostgresFailed, match="unrecognized configuration parameter"):
        EmbeddedPostgres(folder, {"no_such_setting": "1"}).start()


def test_long_paths_get_a_short_socket(folder: Path) -> None:
    """A data folder deeper than a socket's name may be works through a socket elsewhere, which goes when it stops."""
    deep = folder / ("d" * 60) / ("e" * 60)
    server = EmbeddedPostgres(deep)
    server.start()
    elsewhere = socket_folder(deep)
    try:
        assert _ask(server.dsn, "SELECT 1") == 1
        assert elsewhere.stat().st_mode & 0o077 == 0
    finally:
        server.stop()
    assert not elsewhere.exists()


def test_secrets_of_the_environment_do_not_reach_postgresql(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server process gets an environment of its own."""
    monkeypatch.setenv("PATCHBAY_MASTER_KEY", "canary-4711")
    server = EmbeddedPostgres(folder)
    server.start()
    try:
        environment = Path(f"/proc/{server.pid}/environ")
        if not environment.exists():
            pytest.skip("needs /proc")
        assert b"canary" not in environment.read_bytes()
    finally:
        server.stop()
