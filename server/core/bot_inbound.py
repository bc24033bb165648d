"""Taking what Teams tells a bot: the token is checked, then the body against it; only then something is stored."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from server.core.bot_activities import BotConnection, Change, Mark, change_of, directory_of, mark_of
from server.core.bot_clouds import is_trusted
from server.core.bot_tokens import BotToken, BotTokens
from server.errors import PatchbayError
from server.sdk.microsoft import CLOUDS


class ActivityRefused(PatchbayError):
    """The activity is not one that its token vouches for, or not for a connection of ours. `reason` is for us only."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class BotConnections(Protocol):
    """Which connections a bot serves; see server/store/bots.py."""

    async def served(self, bot_app_id: str, entra_tenant_id: str) -> Sequence[BotConnection]:
        """Returns the active connections with that bot and directory, of every tenant."""


class ActivityBook(Protocol):
    """The activities that came for one tenant; see server/store/bots.py."""

    async def take(self, bot_app_id: str, mark: Mark, change: Change | None) -> bool:
        """Does what an activity says, once: the same again changes nothing.

        Returns:
            False when it is another one than the first of its name; nothing was stored then.
        """


class BotInbound:
    """Keeps books of conversations up to date.

    An activity belongs to every connection with its bot and its Microsoft directory. A bot may serve many tenants: the
    token vouches for the bot and the service URL; everything else stands in the body, which came over TLS from whoever
    holds the token. So an activity counts once, and what it says of people and teams stays unconfirmed.

    Args:
        tokens: Checks tokens.
        connections: Says which connections a bot serves.
        activities: `activities(tenant)`.
    """

    def __init__(
        self, tokens: BotTokens, connections: BotConnections, activities: Callable[[str], ActivityBook]
    ) -> None:
        self._tokens = tokens
        self._connections = connections
        self._activities = activities

    async def verify(self, token: str) -> BotToken:
        """Returns what a token vouches for; raises Refusal."""
        return await self._tokens.verify(token)

    async def receive(self, token: BotToken, activity: Mapping[str, Any], body: bytes) -> Sequence[str]:
        """Stores what an activity tells, which came as `body`; returns the tenants that it was for.

        Raises:
            ActivityRefused: Nothing was stored.
            DatabaseUnavailable: PostgreSQL does not answer.
        """
        _check(token, activity)
        served = await self._connections.served(token.bot_app_id, directory_of(activity))
        trusted = [one for one in served if _is_trusted(token, one)]
        if not trusted:
            raise ActivityRefused("SERVICE_URL_UNTRUSTED" if served else "CONNECTION_UNKNOWN")
        mark, change = mark_of(activity, body), change_of(activity, token.bot_app_id)
        for tenant in [one.tenant for one in trusted]:
            if not await self._activities(tenant).take(token.bot_app_id, mark, change):
                raise ActivityRefused("ANOTHER_BODY")
        return [one.tenant for one in trusted]


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
