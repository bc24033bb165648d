"""Where a message goes, and whether the bot may write there.

Facts: conversation-messages.md of MicrosoftDocs/msteams-docs @ bbf096a for the codes; issues 1527 of bot-docs, 3280 of
botbuilder-js and 339 of BotFramework-Services for their words. The order of the checks is a guess.
"""

from dataclasses import dataclass

from starlette.responses import JSONResponse, Response

from sandbox.control.wire import Refused
from sandbox.teams.clouds import GLOBAL_REGIONS, cloud_of
from sandbox.teams.graph.installed_apps import chat_id
from sandbox.teams.models import Channel, Conversation, Directory, Team, User
from sandbox.teams.wire import Call, bad_argument, connector_error

_ROOT = ";messageid="
_MOVED = "Incoming request was redirected to the wrong geo!"
_SUB_CODE = '{ "subCode": "MessageWritesBlocked", "details": null, "errorCode": null, "errorSubCode": null }'


@dataclass(frozen=True, slots=True)
class Place:
    """A chat, or a channel with or without a thread.

    Attributes:
        id: Of the chat or channel.
        root: Id of the message that begins the thread.
    """

    id: str
    directory: Directory
    conversation: Conversation | None = None
    user: User | None = None
    channel: Channel | None = None
    team: Team | None = None
    root: str = ""


def not_found() -> Refused:
    """The 404 of a conversation."""
    return connector_error(404, "ConversationNotFound", "Conversation not found.")


def no_message() -> Refused:
    """The 404 of a message."""
    return connector_error(404, "ActivityNotFoundInConversation", "Message does not exist in the thread.")


def _stranger() -> Refused:
    return connector_error(403, "BotNotInConversationRoster", "The bot is not part of the conversation roster.")


def place(call: Call, conversation_id: str) -> Place:
    """What an id stands for: a chat's own id or Graph's, a channel, or a thread of one. Raises the 404."""
    world = call.world
    channel_id, separator, root = conversation_id.partition(_ROOT)
    if channel_id in world.channels:
        return _thread(call, world.channels[channel_id], root, known=bool(separator))
    if conversation_id in world.conversations:
        found = world.conversations[conversation_id]
        return personal(call, found, _user(call, found))
    user = world.user(conversation_id.removeprefix("19:").partition("_")[0])
    if user is not None and conversation_id == chat_id(user.id, call.bot.app_id) and _begun(call, user):
        return personal(call, world.open(call.bot.app_id, user), user)
    raise not_found()


def _begun(call: Call, user: User) -> bool:
    """Whether the chat of a user and this bot is there, or will be once it is asked for."""
    chats = call.world.conversations.values()
    return any((one.bot, one.user) == (call.bot.app_id, user.id) for one in chats) or any(
        call.world.installed(call.bot.app_id, user=user.id)
    )


def personal(call: Call, found: Conversation, user: User) -> Place:
    """The place of a chat."""
    return Place(found.id, call.world.directories[user.directory], conversation=found, user=user)


def in_channel(call: Call, channel: Channel, root: str = "") -> Place:
    """The place of a channel or thread."""
    team = call.world.teams[channel.team]
    return Place(channel.id, call.world.directories[team.directory], channel=channel, team=team, root=root)


def _user(call: Call, found: Conversation) -> User:
    user = call.world.user(found.user)
    if user is None:
        raise not_found()
    return user


def _thread(call: Call, channel: Channel, root: str, *, known: bool) -> Place:
    if not known:
        return in_channel(call, channel)
    if not (root.isascii() and root.isdigit()) or root == "0":
        raise bad_argument("The message id of the conversation is not valid.")
    message = call.world.messages.get(root)
    if message is None or message.deleted or message.conversation != channel.id or message.root:
        raise no_message()
    return in_channel(call, channel, root)


def check_host(call: Call, directory: Directory) -> None:
    """Raises what a host or path of another cloud or region answers."""
    region, regions = call.params[0], call.world.settings.regions
    if cloud_of(region) != directory.cloud:
        raise connector_error(403, "InvalidBotApiHost", "The bot API host is not valid for the tenant.")
    if regions == "any" or region == directory.region or region in GLOBAL_REGIONS:
        return
    words = _MOVED if regions == "redirected" else "User is from different region"
    raise connector_error(403, "BadArgument", words)


def check_reach(call: Call, where: Place) -> None:
    """Raises the 403 that keeps this bot from a place."""
    check_host(call, where.directory)
    if where.directory.id in call.bot.disabled_in:
        raise connector_error(403, "BotDisabledByAdmin", "The bot is disabled by the administrator of the tenant.")
    if not on_roster(call, where):
        raise _stranger()
    if where.conversation is not None and where.conversation.blocked:
        raise _blocked(call.world.settings.blocked_answer)
    if where.channel is not None and where.channel.type == "private":
        raise connector_error(403, call.world.settings.private_answer, "The bot cannot post in private channels.")


def on_roster(call: Call, where: Place) -> bool:
    """Whether an app of this bot is installed there, with the scope for it."""
    world, bot = call.world, call.bot.app_id
    if where.team is not None:
        return any("team" in world.apps[one.app].scopes for one in world.installed(bot, team=where.team.id))
    if where.user is None or where.conversation is None or where.conversation.bot != bot:
        return False
    return any("personal" in world.apps[one.app].scopes for one in world.installed(bot, user=where.user.id))


def _blocked(form: str) -> Refused:
    if form == "empty":
        return Refused(Response(status_code=403))
    if form == "subcode":
        return Refused(JSONResponse({"errorCode": 209, "message": _SUB_CODE}, 403))
    return connector_error(403, "ConversationBlockedByUser", "The user has blocked the conversation with the bot.")
