"""Where a bot can talk (table `teams_conversation_references`) as modules see it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

PERSONAL: Final = "personal"
GROUP_CHAT: Final = "groupChat"
CHANNEL: Final = "channel"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationReference:
    """One conversation of a bot, as Teams last told it.

    Attributes:
        conversation_id: A chat such as `a:1...`, or a channel such as `19:...@thread.tacv2`.
        bot_app_id: Application id of the bot, lower case.
        conversation_type: `personal`, `groupChat` or `channel`.
        service_url: Address of the Bot Connector for it. Check it again before a token is sent there.
        entra_tenant_id: The Microsoft directory, lower case.
        microsoft_user_id: Entra object id of the person, lower case; None where it was not told, and of channels and
            group chats, which belong to nobody.
        user_channel_id: The person's id at the bot, `29:...`; None as above.
        team_id: Of a channel: its team.
        team_name: The team's name, where told.
        confirmed: Whether the vendor itself, asked by us, said that the chat is the person's, or the team's name. What
            comes to a bot is vouched for by a token that does not cover what it says: do not write to a person, or
            offer a team, on its word alone.
        last_activity_at: When Teams last told of it.
    """

    conversation_id: str
    bot_app_id: str
    conversation_type: str
    service_url: str
    entra_tenant_id: str
    microsoft_user_id: str | None = None
    user_channel_id: str | None = None
    team_id: str | None = None
    team_name: str | None = None
    confirmed: bool = False
    last_activity_at: datetime | None = None


class ConversationBook(Protocol):
    """The conversations that one tenant's bots have."""

    async def personal(self, bot_app_id: str, microsoft_user_id: str) -> ConversationReference | None:
        """Returns the newest chat of a bot with a person."""

    async def get(self, bot_app_id: str, conversation_id: str) -> ConversationReference | None:
        """Returns a conversation by its id."""

    async def newest(self, bot_app_id: str, team_id: str = "") -> ConversationReference | None:
        """Returns the conversation that was told last, of a team where one is named: its address is the best guess."""

    async def teams(self, bot_app_id: str) -> Sequence[ConversationReference]:
        """Returns one channel, told last, of each team where the bot is known to be installed, by team id."""

    async def remember(self, reference: ConversationReference) -> None:
        """Stores what Teams told, now. What it did not tell keeps its last known value; news ends a confirmation."""

    async def confirm(self, bot_app_id: str, conversation_id: str, microsoft_user_id: str) -> None:
        """Notes that the vendor said that a chat is the person's alone, unless something else was told meanwhile."""

    async def confirm_team(self, bot_app_id: str, team_id: str, name: str) -> None:
        """Notes the name that the vendor gave for a team, for all its conversations."""

    async def forget(self, bot_app_id: str, conversation_id: str) -> bool:
        """Removes a conversation that has ended; False when there was none."""

    async def forget_team(self, bot_app_id: str, team_id: str) -> int:
        """Removes all conversations of a team that the bot has left; returns how many there were."""
