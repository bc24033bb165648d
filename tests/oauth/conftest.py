"""An OAuth vendor and servers that are connected to it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct

from sandbox.client import SandboxControl
from sandbox.serving import SandboxServer
from server.app import running_server
from server.gen.patchbay.v1 import connections_pb2, executor_pb2, identity_pb2
from server.store.database import Database
from tests.support import oauth_vendor
from tests.support.postgres import Fresh
from tests.support.served import LOOPBACK, TENANT, Caller, everything, settings_for, struct

TOKEN_PATH = "/oauth/token"


@dataclass
class OAuth:
    """The vendor."""

    url: str
    control: SandboxControl

    def settings(self, **changes: Any) -> Struct:
        """Settings with the first refresh token, changed as told; None removes one."""
        good = {"instance_url": self.url, **self.control.credentials(), **changes}
        return struct({name: value for name, value in good.items() if value is not None})

    def renewals(self) -> int:
        """How often tokens were given for a refresh token."""
        return self.control.effects().count("refresh_token")

    def asked(self) -> int:
        """How many requests the token endpoint got."""
        return sum(one["path"] == TOKEN_PATH for one in self.control.requests(1000))


@pytest.fixture(scope="session")
def oauth_server() -> Iterator[OAuth]:
    """The vendor for the whole run."""
    with SandboxServer(oauth_vendor.create_app()) as server:
        yield OAuth(server.url, SandboxControl(server.url))


@pytest.fixture
def oauth(oauth_server: OAuth) -> OAuth:
    """The vendor, as new."""
    oauth_server.control.reset()
    return oauth_server


async def connect(caller: Caller, settings: Struct, tenant: str = TENANT) -> connections_pb2.ConnectResponse:
    """Connects a tenant, which is made when there is none, and returns the answer."""
    await caller("Identity/CreateTenant", identity_pb2.CreateTenantRequest(slug=tenant))
    request = connections_pb2.ConnectRequest(tenant=tenant, provider="oauthlab", settings=settings, grant=LOOPBACK)
    answer: connections_pb2.ConnectResponse = await caller("Connections/Connect", request)
    return answer


async def connected(caller: Caller, settings: Struct, tenant: str = TENANT) -> connections_pb2.Connection:
    """Connects a tenant, which must succeed."""
    answer = await connect(caller, settings, tenant)
    assert not answer.HasField("failure"), answer.failure
    return answer.connection


async def read(caller: Caller, **fields: Any) -> executor_pb2.Execution:
    """Reads a thing of the vendor."""
    return await caller.execute("oauthlab.things.read", {"name": "x"}, **fields)


def succeeded(execution: executor_pb2.Execution) -> bool:
    """Whether an execution succeeded."""
    return execution.state == executor_pb2.EXECUTION_STATE_SUCCEEDED


@dataclass
class Houses:
    """Servers in this process on one database, each with memory of its own."""

    fresh: Fresh
    folder: Path
    stack: AsyncExitStack
    callers: list[Caller] = field(default_factory=list)

    async def start(self) -> Caller:
        """Starts one and returns who calls it."""
        handle = await self.stack.enter_async_context(running_server(settings_for(self.fresh, self.folder), everything))
        caller = Caller(handle.target)
        self.stack.push_async_callback(caller.close)
        return caller


@pytest.fixture
async def houses(fresh: Fresh, tmp_path: Path) -> AsyncIterator[Houses]:
    """Makes servers."""
    async with AsyncExitStack() as stack:
        yield Houses(fresh, tmp_path, stack)


async def tokens(database: Database) -> list[dict[str, Any]]:
    """Returns the rows of tokens, of every tenant."""
    async with database.system() as connection:
        return [dict(row) for row in await connection.fetch("SELECT * FROM connection_tokens ORDER BY tenant")]


async def change_tokens(database: Database, change: str) -> None:
    """Changes all rows of tokens, such as `expires_at = now()`."""
    async with database.system() as connection:
        await connection.execute(f"UPDATE connection_tokens SET {change}")
