"""Where bots can talk: table `teams_conversation_references`; and which connections a bot serves."""

import json
from collections.abc import Sequence
from typing import Any, Final

import asyncpg

from server.core.bot_activities import BotConnection
from server.sdk.conversations import ConversationReference
from server.store.database import Database
from server.store.text import storable

_COLUMNS: Final = """
    conversation_id, bot_app_id, conversation_type, service_url, tenant_id_aad, microsoft_user_id, user_channel_id,
    team_id, team_name, last_activity_at
"""
_OF_BOT: Final = f"SELECT {_COLUMNS} FROM teams_conversation_references WHERE tenant = $1 AND bot_app_id = $2"
_PERSONAL: Final = f"""
    {_OF_BOT} AND microsoft_user_id = $3 AND conversation_type = 'personal' ORDER BY last_activity_at DESC LIMIT 1
"""
_GET: Final = f"{_OF_BOT} AND conversation_id = $3"
_NEWEST: Final = f"{_OF_BOT} AND ($3 = '' OR team_id = $3) ORDER BY last_activity_at DESC LIMIT 1"
_TEAMS: Final = f"""
    SELECT DISTINCT ON (team_id COLLATE "C") {_COLUMNS} FROM teams_conversation_references
    WHERE tenant = $1 AND bot_app_id = $2 AND team_id IS NOT NULL
    ORDER BY team_id COLLATE "C", last_activity_at DESC
"""
_REMEMBER: Final = """
    INSERT INTO teams_conversation_references AS r (tenant, bot_app_id, conversation_id, conversation_type, service_url,
        tenant_id_aad, microsoft_user_id, user_channel_id, team_id, team_name)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    ON CONFLICT (tenant, bot_app_id, conversation_id) DO UPDATE SET
        conversation_type = excluded.conversation_type, service_url = excluded.service_url,
        tenant_id_aad = excluded.tenant_id_aad,
        microsoft_user_id = coalesce(excluded.microsoft_user_id, r.microsoft_user_id),
        user_channel_id = coalesce(excluded.user_channel_id, r.user_channel_id),
        team_id = coalesce(excluded.team_id, r.team_id), team_name = coalesce(excluded.team_name, r.team_name),
        last_activity_at = now()
"""
_FORGET: Final = """
    DELETE FROM teams_conversation_references WHERE tenant = $1 AND bot_app_id = $2 AND conversation_id = $3
"""
_FORGET_TEAM: Final = "DELETE FROM teams_conversation_references WHERE tenant = $1 AND bot_app_id = $2 AND team_id = $3"
_SERVED: Final = """
    SELECT tenant, settings FROM rmm_integrations
    WHERE provider = 'teams' AND is_active
        AND lower(settings ->> 'bot_app_id') = $1 AND lower(settings ->> 'entra_tenant_id') = $2
    ORDER BY tenant
"""


class Conversations:
    """The conversations of one tenant; see `server.sdk.conversations.ConversationBook`."""

    def __init__(self, database: Database, tenant: str) -> None:
        self._database = database
        self._tenant = tenant

    async def personal(self, bot_app_id: str, microsoft_user_id: str) -> ConversationReference | None:
        """Returns the newest chat of a bot with a person."""
        return await self._one(_PERSONAL, bot_app_id.lower(), microsoft_user_id.lower())

    async def get(self, bot_app_id: str, conversation_id: str) -> ConversationReference | None:
        """Returns a conversation by its id."""
        return await self._one(_GET, bot_app_id.lower(), conversation_id)

    async def newest(self, bot_app_id: str, team_id: str = "") -> ConversationReference | None:
        """Returns the conversation that was told last, of a team where one is named."""
        return await self._one(_NEWEST, bot_app_id.lower(), team_id)

    async def teams(self, bot_app_id: str) -> Sequence[ConversationReference]:
        """Returns one channel of each team where the bot is known to be installed."""
        return await self._rows(_TEAMS, bot_app_id.lower())

    async def remember(self, reference: ConversationReference) -> None:
        """Stores what Teams told, now."""
        async with self._database.tenant(self._tenant) as connection:
            await connection.execute(_REMEMBER, self._tenant, *_values(reference))

    async def forget(self, bot_app_id: str, conversation_id: str) -> bool:
        """Removes a conversation; False when there was none."""
        return await self._delete(_FORGET, bot_app_id.lower(), conversation_id) > 0

    async def forget_team(self, bot_app_id: str, team_id: str) -> int:
        """Removes all conversations of a team; returns how many there were."""
        return await self._delete(_FORGET_TEAM, bot_app_id.lower(), team_id)

    async def _one(self, sql: str, *arguments: str) -> ConversationReference | None:
        return next(iter(await self._rows(sql, *arguments)), None)

    async def _rows(self, sql: str, *arguments: str) -> list[ConversationReference]:
        async with self._database.tenant(self._tenant) as connection:
            rows = await connection.fetch(sql, self._tenant, *map(storable, arguments))
        return [_reference(row) for row in rows]

    async def _delete(self, sql: str, *arguments: str) -> int:
        async with self._database.tenant(self._tenant) as connection:
            done = await connection.execute(sql, self._tenant, *map(storable, arguments))
        return int(done.rpartition(" ")[2])


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


def _connection(tenant: str, settings: dict[str, Any]) -> BotConnection:
    cloud, simulated = settings.get("cloud") or "public", settings.get("service_url") or ""
    return BotConnection(tenant=tenant, cloud=cloud, simulated_url=simulated)


def _values(reference: ConversationReference) -> list[str | None]:
    told = (
        reference.bot_app_id.lower(),
        reference.conversation_id,
        reference.conversation_type,
        reference.service_url,
        reference.entra_tenant_id.lower(),
        reference.microsoft_user_id.lower() if reference.microsoft_user_id else None,
        reference.user_channel_id,
        reference.team_id,
        reference.team_name,
    )
    return [None if text is None else storable(text) for text in told]


def _reference(row: asyncpg.Record) -> ConversationReference:
    return ConversationReference(
        conversation_id=row["conversation_id"],
        bot_app_id=row["bot_app_id"],
        conversation_type=row["conversation_type"],
        service_url=row["service_url"],
        entra_tenant_id=row["tenant_id_aad"],
        microsoft_user_id=row["microsoft_user_id"],
        user_channel_id=row["user_channel_id"],
        team_id=row["team_id"],
        team_name=row["team_name"],
        last_activity_at=row["last_activity_at"],
    )
