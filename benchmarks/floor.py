"""The floors: bare grpc.aio handlers that take and give bytes.

`/floor/Keep`          keeps the request as the answer of all others.
`/floor/Echo`          answers.
`/floor/Read`          makes one GET over a shared httpx client, answers.
`/floor/Post`          makes one POST, answers.
`/floor/ReadThenPost`  makes both, answers.
`/floor/DurablePost`   inserts a row, makes the POST, updates the row, answers.
`/floor/Row`           selects the row whose tenant and key the request names (`tenant|key`), answers.
"""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import asyncpg
import grpc
import httpx
from httpx_aiohttp import AiohttpTransport

from benchmarks import child

Context = grpc.aio.ServicerContext[bytes, bytes]
_TABLE = "CREATE TABLE IF NOT EXISTS floor_rows (id uuid PRIMARY KEY, input json, output json, done timestamptz)"
_INSERT = "INSERT INTO floor_rows (id, input) VALUES ($1, $2)"
_UPDATE = "UPDATE floor_rows SET output = $2, done = now() WHERE id = $1"
_SELECT = "SELECT * FROM workflow_action_invocations WHERE tenant = $1 AND idempotency_key = $2"


class Floor:
    """The handlers. `pool` is a plain asyncpg pool."""

    def __init__(self, vendor: str, http: httpx.AsyncClient, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._vendor = vendor
        self._http = http
        self._pool = pool
        self._answer = b""

    async def keep(self, request: bytes, _context: Context) -> bytes:
        """Keeps the answer."""
        self._answer = request
        return b""

    async def echo(self, _request: bytes, _context: Context) -> bytes:
        """Answers."""
        return self._answer

    async def read(self, _request: bytes, _context: Context) -> bytes:
        """Makes one GET."""
        (await self._http.get(f"{self._vendor}/things/thing")).json()
        return self._answer

    async def post(self, _request: bytes, _context: Context) -> bytes:
        """Makes one POST."""
        await self._post()
        return self._answer

    async def read_then_post(self, _request: bytes, _context: Context) -> bytes:
        """Makes a GET, then a POST."""
        (await self._http.get(f"{self._vendor}/things/thing")).json()
        await self._post()
        return self._answer

    async def durable_post(self, _request: bytes, _context: Context) -> bytes:
        """Makes one POST between two commits."""
        id = uuid4()
        await self._pool.execute(_INSERT, id, '{"text":"thing"}')
        answer = await self._post()
        await self._pool.execute(_UPDATE, id, answer.text)
        return self._answer

    async def row(self, request: bytes, _context: Context) -> bytes:
        """Selects one row by its unique key."""
        tenant, key = request.decode().split("|")
        found = await self._pool.fetchrow(_SELECT, tenant, key)
        return self._answer if found else b""

    async def _post(self) -> httpx.Response:
        answer = await self._http.post(f"{self._vendor}/things", json={"name": "thing", "key": "key"})
        answer.json()
        return answer


def _server(floor: Floor) -> grpc.aio.Server:
    methods: dict[str, Callable[[bytes, Context], Awaitable[bytes]]] = {
        "Keep": floor.keep,
        "Echo": floor.echo,
        "Read": floor.read,
        "Post": floor.post,
        "ReadThenPost": floor.read_then_post,
        "DurablePost": floor.durable_post,
        "Row": floor.row,
    }
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        name: grpc.unary_unary_rpc_method_handler(method) for name, method in methods.items()
    }
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("floor", handlers)])
    return server


async def _job(config: dict[str, Any]) -> None:
    limits = {"max_connections": 400, "max_keepalive_connections": 64}
    transport = AiohttpTransport(limits=httpx.Limits(**limits), trust_env=False)
    async with (
        httpx.AsyncClient(transport=transport) as http,
        asyncpg.create_pool(config["dsn"], min_size=2, max_size=10) as pool,
    ):
        await pool.execute(_TABLE)
        server = _server(Floor(config["vendor"], http, pool))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        child.say({"address": f"127.0.0.1:{port}"})
        await child.until_parent_leaves()
        await server.stop(1.0)


if __name__ == "__main__":
    child.run(_job)
