"""What comes to Teams bots: which connections it is for, and that an activity counts once (`teams_bot_activities`)."""

import json
from collections.abc import Sequence
from typing import Any, Final

from server.core.bot_activities import BotConnection, Change, Mark
from server.store.conversations import apply_change
from server.store.database import Connection, Database
from server.store.text import storable

_SERVED: Final = """
    SELECT tenant, settings FROM rmm_integrations
    WHERE provider = 'teams' AND is_active
        AND lower(settings ->> 'bot_app_id') = $1 AND lower(settings ->> 'entra_tenant_id') = $2
    ORDER BY tenant
"""
_MARK: Final = """
    INSERT INTO teams_bot_activities (tenant, bot_app_id, name, content) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING
    RETURNING true
"""
_CONTENT: Final = "SELECT content FROM teams_bot_activities WHERE tenant = $1 AND bot_app_id = $2 AND name = $3"
_PRUNE: Final = "DELETE FROM teams_bot_activities WHERE taken_at < now() - interval '1 day'"


class BotConnections:
    """The connections that bots serve.

    A connection's settings hold the bot's app id and the Microsoft directory; neither is a secret, so both stand in
    the clear in `rmm_integrations.settings`, and no credential is opened for a request from outside. The look-up uses
    the scope of all tenants; what is found is then written in the scope of its tenant.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def served(self, bot_app_id: str, entra_tenant_id: str) -> Sequence[BotConnection]:
        """Returns the active connections with that bot and directory, of every tenant."""
        async with self._database.system() as connection:
            rows = await connection.fetch(_SERVED, storable(bot_app_id.lower()), storable(entra_tenant_id.lower()))
        return [_connection(str(row["tenant"]), json.loads(row["settings"])) for row in rows]


class BotActivities:
    """The activities that came for one tenant; see `server.core.bot_inbound.ActivityBook`."""

    def __init__(self, database: Database, tenant: str) -> None:
        self._database = database
        self._tenant = tenant

    async def take(self, bot_app_id: str, mark: Mark, change: Change | None) -> bool:
        """Does what an activity says, once; False when it is another one than the first of its name."""
        async with self._database.tenant(self._tenant) as connection, connection.transaction():
            if await connection.fetchval(_MARK, self._tenant, bot_app_id.lower(), mark.name, mark.content):
                if change is not None:
                    await apply_change(connection, self._tenant, bot_app_id, change)
                return True
            return await self._content(connection, bot_app_id, mark) == mark.content

    async def _content(self, connection: Connection, bot_app_id: str, mark: Mark) -> bytes | None:
        content: bytes | None = await connection.fetchval(_CONTENT, self._tenant, bot_app_id.lower(), mark.name)
        return content


async def prune_bot_activities(database: Database) -> None:
    """Forgets activities after a day, when no token is left that came with them."""
    async with database.system() as connection:
        await connection.execute(_PRUNE)


def _connection(tenant: str, settings: dict[str, Any]) -> BotConnection:
    cloud, simulated = settings.get("cloud") or "public", settings.get("service_url") or ""
    return BotConnection(tenant=tenant, cloud=cloud, simulated_url=simulated)
