"""Reaching people and channels: at which address, in which chat, and whether what the bot was told of them is true.

What comes to a bot is vouched for by a token that does not cover what it says: whoever got hold of one could lead
messages for a person into a chat of their own. So Teams is asked once about every chat and team before it is used.
"""

from collections.abc import Sequence
from typing import Final

from server.modules.teams import messages
from server.modules.teams.bot import CHAT, Sent
from server.modules.teams.client import TeamsClient
from server.sdk import ActionContext, ActionFailure, ConversationReference
from server.sdk.paging import Row
from server.sdk.reading import text

Context = ActionContext[TeamsClient]

_UNREACHED: Final = frozenset({"NO_CONVERSATION", "NOT_FOUND", "VENDOR_REJECTED_INPUT", "VENDOR_PERMISSION_DENIED"})


async def addresses_for(ctx: Context, team_id: str = "", conversation_id: str = "") -> Sequence[str]:
    """Returns where Teams may be reached: as it told for the conversation or the team, else last of all."""
    book, bot = ctx.conversations, ctx.client.settings.bot_app_id
    known = await book.get(bot, conversation_id) if conversation_id else None
    newest = await book.newest(bot, team_id) or await book.newest(bot)
    return ctx.client.bot.addresses(*(one.service_url for one in (known, newest) if one))


async def deliver(user: str, body: messages.Body, ctx: Context) -> Sent:
    """Sends into the chat that Teams told of; where there is none, or it is gone, into one that is opened."""
    bot, book = ctx.client.bot, ctx.conversations
    known = await _confirmed_chat(user, ctx)
    addresses = await addresses_for(ctx, conversation_id=known.conversation_id if known else "")
    if known is not None:
        try:
            told = placed(body, known.conversation_id, "personal", ctx)
            return await bot.send(addresses, known.conversation_id, told, CHAT)
        except ActionFailure as failure:
            if failure.failure.reason != "NO_CONVERSATION":
                raise
            await book.forget(known.bot_app_id, known.conversation_id)
    chat = await _opened(user, addresses, ctx)
    return await bot.send(addresses, chat, placed(body, chat, "personal", ctx), CHAT)


async def team_name(heard: ConversationReference, ctx: Context) -> str | None:
    """Returns the name of a team that the bot has heard of, as Teams, asked once, tells it; None: it is not in it."""
    team, bot = heard.team_id or "", heard.bot_app_id
    if heard.confirmed:
        return heard.team_name or ""
    try:
        told = await ctx.client.bot.team(await addresses_for(ctx, team), team)
    except ActionFailure as failure:
        if failure.failure.reason not in {"APP_NOT_IN_TEAM", *_UNREACHED}:
            raise
        told = None
    if told is None or (text(told.get("tenantId")) or heard.entra_tenant_id).lower() != heard.entra_tenant_id:
        await ctx.conversations.forget_team(bot, team)
        return None
    name = text(told.get("name")) or ""
    await ctx.conversations.confirm_team(bot, team, name)
    return name


async def _confirmed_chat(user: str, ctx: Context) -> ConversationReference | None:
    """Returns the chat that Teams told of, when Teams, asked once, says that nobody else is in it."""
    bot, book = ctx.client.bot, ctx.conversations
    known = await book.personal(ctx.client.settings.bot_app_id, user)
    if known is None or known.confirmed:
        return known
    chat = known.conversation_id
    try:
        members = await bot.members(await addresses_for(ctx, conversation_id=chat), chat, CHAT)
    except ActionFailure as failure:
        if failure.failure.reason not in _UNREACHED:
            raise
        members = []
    if [object_id(one) for one in members] == [user.lower()]:
        await book.confirm(known.bot_app_id, chat, user)
        return known
    await book.forget(known.bot_app_id, chat)
    return None


async def _opened(user: str, addresses: Sequence[str], ctx: Context) -> str:
    """Opens the chat with a person by their object id; else asks Graph for the chat in which the app is installed."""
    try:
        return await ctx.client.bot.open_chat(addresses, user)
    except ActionFailure as refused:
        if refused.failure.reason not in _UNREACHED:
            raise
        last = refused
    try:
        chat = await ctx.client.graph.chat_with_app(user)
    except ActionFailure as failure:
        if failure.failure.reason not in _UNREACHED:
            raise
        chat = None
    if chat is None:
        told = last.failure
        message = "The bot has no chat with the person and could not open one."
        raise ActionFailure(
            "NO_CONVERSATION", message, vendor_status=told.vendor_status, vendor_message=told.vendor_message
        )
    return chat


def object_id(member: Row) -> str:
    """Returns the Entra object id of a member, lower case; Teams has two names for it. Empty: not told."""
    return (text(member.get("aadObjectId")) or text(member.get("objectId")) or "").lower()


def placed(body: messages.Body, conversation_id: str, kind: str, ctx: Context) -> messages.Body:
    """Returns an activity that names its conversation and tenant."""
    return messages.within(body, conversation_id, ctx.client.settings.entra_tenant_id, kind)
