"""A server with the messaging endpoint of Teams bots, and Teams."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from sandbox.client import SandboxControl
from sandbox.serving import SandboxServer
from sandbox.teams import bases, create_app
from server.app import ServerHandle, running_server
from server.settings import Settings
from server.store.conversations import Conversations
from tests.sandbox.teams_caller import BOT, TENANT
from tests.support.postgres import Fresh
from tests.support.web import fetch

KEYS = "/identity/v1/.well-known/keys"


@dataclass
class Stage:
    """A server with the endpoint, Microsoft's simulator, and tenant `acme` whose connection has the bot."""

    handle: ServerHandle
    control: SandboxControl
    url: str
    acme: str

    @property
    def bot_url(self) -> str:
        """Where the endpoint is."""
        return f"http://{self.handle.http_targets['bot_listen']}/api/messages"

    async def tenant(self, slug: str, *, directory: str = TENANT, **settings: str) -> str:
        """A tenant with an active connection to Teams, as its settings are stored."""
        database = self.handle.house.database
        row = await self.handle.house.tenant_store.create(slug)
        told = {
            "bot_app_id": BOT,
            "entra_tenant_id": directory,
            "service_url": bases(self.url)["connector"],
            **settings,
        }
        async with database.tenant(row.id) as connection:
            await connection.execute(
                "INSERT INTO rmm_integrations (tenant, integration_id, provider, is_active, settings) "
                "VALUES ($1, $2, 'teams', true, $3)",
                row.id,
                str(uuid4()),
                json.dumps(told),
            )
        return row.id

    async def inbound(self, **wish: Any) -> list[int]:
        """Lets Teams tell something; returns the statuses that it got."""
        sent = await asyncio.to_thread(lambda: self.control.order("inbound", bot_url=self.bot_url, **wish))
        return [one["status"] for one in sent["sent"]]

    async def token(self, **wish: Any) -> str:
        """A token alone."""
        wish = {"service_url": f"{self.url}/connector/emea/", **wish}
        return (await asyncio.to_thread(lambda: self.control.order("inbound/token", **wish)))["token"]

    async def signed(self, activity: dict[str, Any]) -> tuple[bytes, dict[str, str]]:
        """An activity as bytes, and headers with a token."""
        bearer = {"Authorization": f"Bearer {await self.token()}", "Content-Type": "application/json"}
        return json.dumps(activity).encode(), bearer

    async def post(self, body: bytes, *, method: str = "POST", path: str = "/api/messages", **headers: str) -> int:
        """Sends exactly this; returns the status."""
        target = self.handle.http_targets["bot_listen"]
        return (await asyncio.to_thread(fetch, target, method, path, body, headers)).status

    def book(self, tenant: str | None = None) -> Conversations:
        """The book of a tenant."""
        return Conversations(self.handle.house.database, tenant or self.acme)

    async def stored(self) -> int:
        """How many conversations all books hold."""
        async with self.handle.house.database.system() as connection:
            return await connection.fetchval("SELECT count(*) FROM teams_conversation_references")

    async def audited(self) -> Sequence[tuple[str, str, str]]:
        """Caller, outcome and reason of every activity in the audit log."""
        await self.handle.house.audit.flush()
        async with self.handle.house.database.system() as connection:
            rows = await connection.fetch(
                "SELECT caller, outcome, reason FROM audit_log WHERE operation = 'bot/api/messages' ORDER BY at"
            )
        return [(row["caller"], row["outcome"], row["reason"]) for row in rows]

    async def key_fetches(self) -> int:
        """How often the keys were fetched."""
        told = await asyncio.to_thread(self.control.requests)
        return sum(one["path"] == KEYS for one in told)


@pytest.fixture
async def stage(fresh: Fresh, tmp_path: Path) -> AsyncIterator[Stage]:
    """The stage."""
    with SandboxServer(create_app()) as simulator:
        settings = Settings(
            listen="127.0.0.1:0",
            bot_listen="127.0.0.1:0",
            bot_identity_url=bases(simulator.url)["identity"],
            database_url=fresh.dsn,
            data_dir=tmp_path,
        )
        async with running_server(settings) as handle:
            made = Stage(handle, SandboxControl(simulator.url), simulator.url, "")
            made.acme = await made.tenant("acme")
            yield made
