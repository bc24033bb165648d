"""The parties of a measurement, each in a process of its own: PostgreSQL, vendor, server, floor, load generator."""

import asyncio
import tempfile
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
from patchbay_client import Patchbay

from benchmarks.processes import Child
from server.store.embedded import DATABASE, EmbeddedPostgres
from server.store.migrate import migrate

TENANT = "bench"
_TOKEN = "a token that the vendor does not look at"


@dataclass
class Server:
    """A server under test with a connected tenant, and an operator's key."""

    child: Child
    dsn: str
    api_key: str
    tenant_id: str

    def client(self) -> Patchbay:
        """Returns a client for the tenant."""
        return Patchbay(self.child.address, api_key=self.api_key, tenant=TENANT)


class Stage:
    """Starts each party when it is first asked for. `folder` holds their data and logs."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack

    @cached_property
    def postgres(self) -> EmbeddedPostgres:
        """The embedded PostgreSQL with its settings for production: every commit reaches the disk."""
        server = EmbeddedPostgres(self.folder / "postgres")
        self._stack.callback(server.stop)
        server.start()
        return server

    @cached_property
    def vendor(self) -> Child:
        """The vendor that answers at once."""
        return self.start("vendor", {})

    @cached_property
    def floor(self) -> Child:
        """The bare handlers, on the database of `server`."""
        return self.start("floor", {"vendor": self.vendor.address, "dsn": self.server.dsn})

    @cached_property
    def load(self) -> Child:
        """The load generator."""
        return self.start("load", {})

    @cached_property
    def server(self) -> Server:
        """The server of most measurements."""
        return self.serve("bench_main")

    def start(self, name: str, config: dict[str, Any], environment: dict[str, str] | None = None) -> Child:
        """Starts a child that ends with the stage."""
        child = Child.start(name, self.folder, config, environment or {})
        self._stack.callback(child.stop)
        return child

    def dsn(self, database: str) -> str:
        """Returns the connection string of a database."""
        return self.postgres.dsn.replace(f"/{DATABASE}?", f"/{database}?")

    def create_database(self, name: str) -> str:
        """Creates a migrated database and returns its connection string."""
        self.sql(self.postgres.dsn, f"CREATE DATABASE {name}")
        asyncio.run(migrate(self.dsn(name)))
        return self.dsn(name)

    def serve(self, database: str) -> Server:
        """Starts a server on a database of its own, with the tenant connected to the vendor."""
        dsn = self.create_database(database)
        environment = {"PATCHBAY_DATABASE_URL": dsn, "PATCHBAY_DATA_DIR": str(self.folder / database)}
        child = self.start("serving", {}, environment)
        with Patchbay(child.address, tenant=TENANT) as client:
            tenant_id = client.tenants.create(TENANT).id
            settings = {"instance_url": self.vendor.address, "token": _TOKEN}
            client.connections.connect("lab", settings, private_networks=["127.0.0.0/8"], plain_http=True)
            api_key = client.keys.create("benchmarks", permissions=["*"]).secret
        return Server(child, dsn, api_key, tenant_id)

    def posts(self) -> int:
        """Returns how many effects the vendor has seen."""
        return int(httpx.get(f"{self.vendor.address}/count", trust_env=False).text)

    @staticmethod
    def sql(dsn: str, *statements: str) -> list[Any]:
        """Runs statements one by one on a connection of their own; returns the rows of the last."""

        async def work() -> list[Any]:
            connection = await asyncpg.connect(dsn, timeout=10)
            try:
                for statement in statements[:-1]:
                    await connection.execute(statement)
                return list(await connection.fetch(statements[-1]))
            finally:
                await connection.close()

        return _alone(work())


def _alone(work: Coroutine[Any, Any, list[Any]]) -> list[Any]:
    return asyncio.run(work)


def fresh_prefix() -> str:
    """Returns a prefix for idempotency keys that nothing used before."""
    return uuid4().hex[:12]


@contextmanager
def staged() -> Iterator[Stage]:
    """Provides a stage on the disk of the temporary folder; ends every process afterwards."""
    with tempfile.TemporaryDirectory(prefix="patchbay-bench-") as folder, ExitStack() as stack:
        yield Stage(Path(folder), stack)
