"""The endpoints of the Bot Connector that Patchbay uses.

It knows no key of ours: a message whose answer is lost may be there. Its address belongs to the conversation and may
change when a tenant moves; a refusal for that reason is answered by the next address known.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from urllib.parse import quote

from server.gen.patchbay.modules.teams.v1.teams_pb2 import TeamsConnection
from server.modules.teams.connection import bot_tokens, cloud_of, trusted
from server.sdk import ActionFailure, ConnectionScope
from server.sdk.http import HttpResponse
from server.sdk.paging import Row
from server.sdk.reading import an_object, objects, text

MOST_BYTES: Final = 100 * 1024
_NOTHING_HAPPENED: Final = frozenset({412, 429})  # as the table of status codes in conversation-messages.md has them
_PAGE: Final = 200
_MOST_MEMBERS: Final = 10_000

CHAT: Final = {
    "BotNotInConversationRoster": "NO_CONVERSATION",
    "ConversationNotFound": "NO_CONVERSATION",
    "ConversationBlockedByUser": "BLOCKED_BY_USER",
    "MessageWritesBlocked": "BLOCKED_BY_USER",
    "BotDisabledByAdmin": "BOT_DISABLED_BY_ADMIN",
    "MessageSizeTooBig": "MESSAGE_TOO_LARGE",
}
CHANNEL: Final = {
    "BotNotInConversationRoster": "APP_NOT_IN_TEAM",
    "ConversationNotFound": "CHANNEL_NOT_FOUND",
    "ActivityNotFoundInConversation": "THREAD_NOT_FOUND",
    "MemberNotFoundInConversation": "MEMBER_NOT_FOUND",
    "NotEnoughPermissions": "PRIVATE_CHANNEL",
    "BotDisabledByAdmin": "BOT_DISABLED_BY_ADMIN",
    "MessageSizeTooBig": "MESSAGE_TOO_LARGE",
}
THREAD: Final = {**CHANNEL, "ConversationNotFound": "THREAD_NOT_FOUND"}
TEAM: Final = {"BotNotInConversationRoster": "APP_NOT_IN_TEAM"}
_MEANING: Final = {
    "NO_CONVERSATION": "The bot has no chat with the person.",
    "BLOCKED_BY_USER": "The person has blocked the bot.",
    "BOT_DISABLED_BY_ADMIN": "An administrator of the Microsoft tenant has disabled the bot.",
    "MESSAGE_TOO_LARGE": "The message is larger than Teams takes.",
    "APP_NOT_IN_TEAM": "The bot is not in the team.",
    "CHANNEL_NOT_FOUND": "Teams does not know the channel.",
    "THREAD_NOT_FOUND": "Teams does not know the message that is to be answered.",
    "MEMBER_NOT_FOUND": "The person to be mentioned is no member of the channel's team.",
    "PRIVATE_CHANNEL": "Teams does not let the bot post to this channel.",
}
_FIELDS: Final = {
    "CHANNEL_NOT_FOUND": "channel_id",
    "PRIVATE_CHANNEL": "channel_id",
    "THREAD_NOT_FOUND": "thread_id",
    "MEMBER_NOT_FOUND": "mentions",
    "MESSAGE_TOO_LARGE": "message",
}


class WrongRegion(ActionFailure):
    """The conversation lives at another address of Teams; nothing happened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What Teams told of a message; None where it did not."""

    conversation_id: str | None = None
    activity_id: str | None = None


class Bot:
    """The bot of one connection.

    Args:
        scope: The connection; sends nothing yet.
    """

    def __init__(self, scope: ConnectionScope[TeamsConnection]) -> None:
        self._settings = scope.settings
        self._tokens = bot_tokens(scope)
        self._bind: Callable[..., Any] = scope.http.bind

    async def check(self) -> None:
        """Proves the credentials by obtaining a token."""
        await self._tokens.bearer()

    def addresses(self, *told: str | None) -> Sequence[str]:
        """Returns where to try, in order: the addresses that Teams told, then the cloud's own; each at most once.

        Raises:
            ActionFailure: UNTRUSTED_SERVICE_URL, when there is one that cannot be trusted, or none at all.
        """
        known = [one for one in (*told, cloud_of(self._settings).service) if one]
        return list(dict.fromkeys(trusted(self._settings, one) for one in known or [""]))

    async def open_chat(self, addresses: Sequence[str], user: str) -> str:
        """Returns the chat with a person, opened when there is none; it needs the app to be installed for them."""
        order = {**self._shared(), "isGroup": False, "members": [{"id": user}]}
        response = await self._send(CHAT, "POST", "/v3/conversations", addresses, json=order, effect=False)
        if (id := text(an_object(response).get("id"))) is None:
            raise response.invalid("Teams answered with a conversation without an id.")
        return id

    async def send(
        self, addresses: Sequence[str], conversation_id: str, activity: Mapping[str, Any], meanings: Mapping[str, str]
    ) -> Sent:
        """Sends a message into a conversation."""
        path = f"/v3/conversations/{quote(conversation_id, '')}/activities"
        told = _told(await self._send(meanings, "POST", path, addresses, json=_fitting(activity)))
        return Sent(conversation_id=conversation_id, activity_id=text(told.get("id")))

    async def begin_thread(self, addresses: Sequence[str], channel_id: str, activity: Mapping[str, Any]) -> Sent:
        """Posts to a channel as a new thread. Without members: with one, Teams would open a chat."""
        order = {**self._shared(), "isGroup": True, "activity": dict(activity)}
        order["channelData"] = {**order["channelData"], "channel": {"id": channel_id}}
        told = _told(await self._send(CHANNEL, "POST", "/v3/conversations", addresses, json=_fitting(order)))
        return Sent(conversation_id=text(told.get("id")), activity_id=text(told.get("activityId")))

    async def member(self, addresses: Sequence[str], conversation_id: str, user: str) -> Row:
        """Returns a member of a conversation as Teams tells them; raises MEMBER_NOT_FOUND."""
        path = f"/v3/conversations/{quote(conversation_id, '')}/members/{quote(user, '')}"
        return an_object(await self._send(CHANNEL, "GET", path, addresses))

    async def members(
        self, addresses: Sequence[str], conversation_id: str, meanings: Mapping[str, str] = TEAM
    ) -> Sequence[Row]:
        """Returns the members of a team, or of a chat, as Teams tells them, 10,000 at most."""
        path, rows, more = f"/v3/conversations/{quote(conversation_id, '')}/pagedmembers", list[Row](), ""
        while len(rows) < _MOST_MEMBERS:
            params = {"pageSize": _PAGE, "continuationToken": more or None}
            response = await self._send(meanings, "GET", path, addresses, params=params)
            page, before = objects(response, "members"), more
            rows += page
            more = text(an_object(response).get("continuationToken")) or ""
            if not page or more in {"", before}:
                break
        return rows

    async def team(self, addresses: Sequence[str], team_id: str) -> Row:
        """Returns a team as Teams tells it."""
        return an_object(await self._send(TEAM, "GET", f"/v3/teams/{quote(team_id, '')}", addresses))

    async def channels(self, addresses: Sequence[str], team_id: str) -> Sequence[Row]:
        """Returns the channels of a team as Teams tells them."""
        path = f"/v3/teams/{quote(team_id, '')}/conversations"
        return objects(await self._send(TEAM, "GET", path, addresses), "conversations")

    def _shared(self) -> dict[str, Any]:
        tenant = self._settings.entra_tenant_id
        bot = {"id": f"28:{self._settings.bot_app_id}"}
        return {"tenantId": tenant, "bot": bot, "channelData": {"tenant": {"id": tenant}}}

    async def _send(
        self, meanings: Mapping[str, str], method: str, path: str, addresses: Sequence[str], **more: Any
    ) -> HttpResponse:
        *others, last = addresses
        for address in others:
            try:
                return await self._at(address, meanings, method, path, **more)
            except WrongRegion:
                continue
        return await self._at(last, meanings, method, path, **more)

    async def _at(self, address: str, meanings: Mapping[str, str], method: str, path: str, **more: Any) -> HttpResponse:
        http = self._bind(base_url=address, read_error=partial(_read_error, meanings), no_effect=_NOTHING_HAPPENED)
        return await self._tokens.send(http, method, path, **more)


def _fitting(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the body; raises MESSAGE_TOO_LARGE for one that Teams would refuse, which counts it in UTF-16."""
    if len(json.dumps(body).encode("utf-16-le")) > MOST_BYTES:
        raise _failure("MESSAGE_TOO_LARGE")
    return body


def _told(response: HttpResponse) -> Mapping[str, Any]:
    """Returns what Teams told of a message. It may take one without a word (202)."""
    if response.status == 202 and not response.content.strip():
        return {}
    return an_object(response)


def _read_error(meanings: Mapping[str, str], response: HttpResponse) -> ActionFailure | None:
    code, said = _code(response)
    if reason := meanings.get(code) or (response.status == 413 and meanings.get("MessageSizeTooBig")):
        return _failure(reason) if response.status < 500 else None
    if response.status == 412:
        return ActionFailure("VENDOR_UNAVAILABLE", "Teams asks to send the message again.")
    if code == "InvalidBotApiHost":
        remedy = "Set the cloud of the connection to `gcc`."
        message = "The tenant belongs to another cloud than the connection says."
        return ActionFailure("INTEGRATION_MISCONFIGURED", message, field="settings.cloud", remedy=remedy)
    if response.status < 500 and ("different region" in said or "wrong geo" in said):
        return WrongRegion("VENDOR_REJECTED_INPUT", "The conversation lives in another region of Teams.")
    return None


def _failure(reason: str) -> ActionFailure:
    return ActionFailure(reason, _MEANING[reason], field=_FIELDS.get(reason, ""))


def _code(response: HttpResponse) -> tuple[str, str]:
    """Returns code and words of the bodies that Teams is known for: an object `error`; `message`, in which a JSON text
    may hold the code; nothing; a page."""
    try:
        body = json.loads(response.content)
        body = body if isinstance(body, dict) else {}
        error = body.get("error")
        if isinstance(error, dict):
            return text(error.get("code")) or "", text(error.get("message")) or ""
        said = text(body.get("message")) or ""
        inner = json.loads(said)
        return text(inner.get("subCode")) or "", said
    except (ValueError, AttributeError, RecursionError):
        return "", ""
