"""Where secrets could lie: rows, dumps, files of the database, processes."""

import asyncio
import subprocess
from pathlib import Path

import asyncpg

from server.store.embedded_files import programs
from tests.support.postgres import Fresh

_TABLES = """SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables
    WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"""


async def rows(fresh: Fresh) -> dict[str, bytes]:
    """Every row of every table, each column as text, binary ones in hexadecimal and as they are."""
    connection = await asyncpg.connect(fresh.dsn)
    found = {}
    try:
        await connection.execute("SELECT set_config('patchbay.tenant', '*', false)")
        for table in [row["name"] for row in await connection.fetch(_TABLES)]:
            records = await connection.fetch(f"SELECT t.*, t::text AS as_text FROM {table} t")
            texts = [str(record["as_text"]).encode() for record in records]
            binary = [value for record in records for value in record.values() if isinstance(value, bytes)]
            found[f"table {table}"] = b"\n".join([*texts, *binary])
        statements = await connection.fetch("SELECT query FROM pg_stat_activity WHERE datname = current_database()")
        found["statements"] = "\n".join(row["query"] for row in statements).encode()
    finally:
        await connection.close()
    return found


async def dump(fresh: Fresh) -> dict[str, bytes]:
    """What pg_dump writes; nothing when this installation has no pg_dump."""
    program = programs() / "pg_dump"
    if not program.exists():
        return {}
    command = [str(program), "--dbname", fresh.dsn.replace("+asyncpg", ""), "--no-owner"]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return {"pg_dump": done.stdout}


async def files(fresh: Fresh) -> dict[str, bytes]:
    """Files of this database, deleted row versions included, and the write-ahead log, after a checkpoint."""
    connection = await asyncpg.connect(fresh.dsn)
    try:
        await connection.execute("CHECKPOINT")
        folder = Path(await connection.fetchval("SHOW data_directory"))
        number = await connection.fetchval("SELECT oid FROM pg_database WHERE datname = current_database()")
    finally:
        await connection.close()
    base, log = folder / "base" / str(number), folder / "pg_wal"
    found = [path for where in (base, log) for path in where.iterdir() if path.is_file()]
    return {f"file {path.parent.name}/{path.name}": path.read_bytes() for path in found}


def children(pid: int) -> list[int]:
    """Ids of all processes below a process."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(stat.parent.name)] = int(after_name[1])
    below: list[int] = []
    while more := [one for one, parent in parents.items() if parent in {pid, *below} and one not in below]:
        below += more
    return below


def processes(pid: int) -> dict[str, bytes]:
    """Command lines of a process and those below it; environments of those below it."""
    found = {f"command line of {pid}": Path(f"/proc/{pid}/cmdline").read_bytes()}
    for child in children(pid):
        for name in ("cmdline", "environ"):
            try:
                found[f"{name} of child {child}"] = Path(f"/proc/{child}/{name}").read_bytes()
            except OSError:
                continue
    return found
