"""Where bots can talk: table `teams_conversation_references`."""

from collections.abc import Sequence
from typing import Final

import asyncpg

from server.core.bot_activities import Change, Forgotten, Remembered, TeamForgotten, TeamRenamed
from server.sdk.conversations import ConversationReference
from server.store.database import Connection, Database
from server.store.text import storable

_COLUMNS: Final = """
    conversation_id, bot_app_id, conversation_type, service_url, tenant_id_aad, microsoft_user_id, user_channel_id,
    team_id, team_name, confirmed, last_activity_at
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
        confirmed = r.confirmed AND excluded.conversation_type = r.conversation_type
            AND coalesce(excluded.microsoft_user_id, r.microsoft_user_id) IS NOT DISTINCT FROM r.microsoft_user_id
            AND coalesce(excluded.team_id, r.team_id) IS NOT DISTINCT FROM r.team_id
            AND coalesce(excluded.team_name, r.team_name) IS NOT DISTINCT FROM r.team_name,
        last_activity_at = now()
"""
_FORGET: Final = """
    DELETE FROM teams_conversation_references WHERE tenant = $1 AND bot_app_id = $2 AND conversation_id = $3
"""
_FORGET_TEAM: Final = "DELETE FROM teams_conversation_references WHERE tenant = $1 AND bot_app_id = $2 AND team_id = $3"
_CONFIRM: Final = """
    UPDATE teams_conversation_references SET confirmed = true
    WHERE tenant = $1 AND bot_app_id = $2 AND conversation_id = $3 AND conversation_type = 'personal'
        AND microsoft_user_id = $4
"""
_RENAME_TEAM: Final = """
    UPDATE teams_conversation_references SET team_name = $4, confirmed = $5
    WHERE tenant = $1 AND bot_app_id = $2 AND team_id = $3 AND ($5 OR team_name IS DISTINCT FROM $4)
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
        await self._apply(reference.bot_app_id, Remembered(reference))

    async def confirm(self, bot_app_id: str, conversation_id: str, microsoft_user_id: str) -> None:
        """Notes that a chat is the person's, unless something else was told of it meanwhile."""
        values = (bot_app_id.lower(), storable(conversation_id), microsoft_user_id.lower())
        async with self._database.tenant(self._tenant) as connection:
            await connection.execute(_CONFIRM, self._tenant, *values)

    async def confirm_team(self, bot_app_id: str, team_id: str, name: str) -> None:
        """Notes the name that a team has."""
        async with self._database.tenant(self._tenant) as connection:
            values = (bot_app_id.lower(), storable(team_id), storable(name))
            await connection.execute(_RENAME_TEAM, self._tenant, *values, True)

    async def forget(self, bot_app_id: str, conversation_id: str) -> bool:
        """Removes a conversation; False when there was none."""
        return await self._apply(bot_app_id, Forgotten(conversation_id)) > 0

    async def forget_team(self, bot_app_id: str, team_id: str) -> int:
        """Removes all conversations of a team; returns how many there were."""
        return await self._apply(bot_app_id, TeamForgotten(team_id))

    async def _one(self, sql: str, *arguments: str) -> ConversationReference | None:
        return next(iter(await self._rows(sql, *arguments)), None)

    async def _rows(self, sql: str, *arguments: str) -> list[ConversationReference]:
        async with self._database.tenant(self._tenant) as connection:
            rows = await connection.fetch(sql, self._tenant, *map(storable, arguments))
        return [_reference(row) for row in rows]

    async def _apply(self, bot_app_id: str, change: Change) -> int:
        async with self._database.tenant(self._tenant) as connection:
            return await apply_change(connection, self._tenant, bot_app_id, change)


async def apply_change(connection: Connection, tenant: str, bot_app_id: str, change: Change) -> int:
    """Does what Teams told, on a connection of the tenant; returns how many rows it touched."""
    bot = bot_app_id.lower()
    match change:
        case Remembered(reference):
            done = await connection.execute(_REMEMBER, tenant, *_values(reference))
        case Forgotten(conversation_id):
            done = await connection.execute(_FORGET, tenant, bot, storable(conversation_id))
        case TeamForgotten(team_id):
            done = await connection.execute(_FORGET_TEAM, tenant, bot, storable(team_id))
        case TeamRenamed(team_id, name):
            done = await connection.execute(_RENAME_TEAM, tenant, bot, storable(team_id), storable(name), False)
    return int(done.rpartition(" ")[2])


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
        confirmed=row["confirmed"],
        last_activity_at=row["last_activity_at"],
    )
