"""Taking what Teams tells a bot: the token is checked, then the body against it; only then something is stored."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from server.core.bot_activities import BotConnection, Forgotten, Remembered, TeamForgotten, change_of, directory_of
from server.core.bot_clouds import is_trusted
from server.core.bot_tokens import BotToken, BotTokens
from server.errors import PatchbayError
from server.sdk.conversations import ConversationBook
from server.sdk.microsoft import CLOUDS


class ActivityRefused(PatchbayError):
    """The activity is not one that its token vouches for, or not for a connection of ours. `reason` is for us only."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class BotConnections(Protocol):
    """Which connections a bot serves; see server/store/conversations.py."""

    async def served(self, bot_app_id: str, entra_tenant_id: str) -> Sequence[BotConnection]:
        """Returns the active connections with that bot and directory, of every tenant."""


class BotInbound:
    """Keeps books of conversations up to date.

    An activity belongs to every connection with its bot and its Microsoft directory. A bot may serve many tenants: the
    token vouches for the bot; the directory stands in the body, which came over TLS from whoever holds the token.

    Args:
        tokens: Checks tokens.
        connections: Says which connections a bot serves.
        book: `book(tenant)`.
    """

    def __init__(self, tokens: BotTokens, connections: BotConnections, book: Callable[[str], ConversationBook]) -> None:
        self._tokens = tokens
        self._connections = connections
        self._book = book

    async def verify(self, token: str) -> BotToken:
        """Returns what a token vouches for; raises Refusal."""
        return await self._tokens.verify(token)

    async def receive(self, token: BotToken, activity: Mapping[str, Any]) -> Sequence[str]:
        """Stores what an activity tells; returns the tenants that it was for.

        Raises:
            ActivityRefused: Nothing was stored.
            DatabaseUnavailable: PostgreSQL does not answer.
        """
        _check(token, activity)
        served = await self._connections.served(token.bot_app_id, directory_of(activity))
        trusted = [one for one in served if _is_trusted(token, one)]
        if not trusted:
            raise ActivityRefused("SERVICE_URL_UNTRUSTED" if served else "CONNECTION_UNKNOWN")
        for connection in trusted:
            await self._store(connection.tenant, token.bot_app_id, activity)
        return [one.tenant for one in trusted]

    async def _store(self, tenant: str, bot_app_id: str, activity: Mapping[str, Any]) -> None:
        book = self._book(tenant)
        match change_of(activity, bot_app_id):
            case Remembered(reference):
                await book.remember(reference)
            case Forgotten(conversation_id):
                await book.forget(bot_app_id, conversation_id)
            case TeamForgotten(team_id):
                await book.forget_team(bot_app_id, team_id)


def _check(token: BotToken, activity: Mapping[str, Any]) -> None:
    recipient, service_url = activity.get("recipient"), activity.get("serviceUrl")
    addressed = recipient.get("id") if isinstance(recipient, dict) else None
    if not token.endorsed:
        raise ActivityRefused("KEY_NOT_ENDORSED")
    if not isinstance(service_url, str) or service_url.rstrip("/") != token.service_url:
        raise ActivityRefused("SERVICE_URL_MISMATCH")
    if activity.get("channelId") != "msteams":
        raise ActivityRefused("CHANNEL_UNKNOWN")
    if not isinstance(addressed, str) or addressed.lower() != f"28:{token.bot_app_id}":
        raise ActivityRefused("RECIPIENT_MISMATCH")
    if not directory_of(activity):
        raise ActivityRefused("DIRECTORY_MISSING")


def _is_trusted(token: BotToken, connection: BotConnection) -> bool:
    cloud = CLOUDS.get(connection.cloud)
    signed = cloud is not None and cloud.bot == token.issuer
    return signed and is_trusted(token.service_url, connection.cloud, connection.simulated_url)
