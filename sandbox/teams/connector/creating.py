"""`POST /v3/conversations`: a new post of a channel, or the chat of a user and the bot.

Facts: Connector API 3.1.12; msteams-docs issues 457, 612 and 8494 (members open a chat even where a channel is named),
14079 (an Entra object id counts as `id`, not as `aadObjectId`), 11125 (only where the app is installed). What a request
without an activity or for an unknown channel is answered by the real service is a guess: 400 and 404.
"""

from typing import Any

from starlette.responses import JSONResponse, Response

from sandbox.teams.connector.counting import count_write
from sandbox.teams.connector.places import Place, check_host, check_reach, in_channel, not_found, personal
from sandbox.teams.connector.reading import activity, body, check_mentions
from sandbox.teams.connector.sending import deliver, store
from sandbox.teams.models import Conversation, User
from sandbox.teams.routing import Routes
from sandbox.teams.wire import Call, bad_argument


def create(call: Call) -> Response:
    """Posts to a channel when no member is named, else opens a chat."""
    given = body(call)
    named = _object(given, "bot").get("id")
    if named is not None and named != f"28:{call.bot.app_id}":
        raise bad_argument("The bot is not the one that is signed in.")
    if given.get("members"):
        return _chat(call, given)
    channel = _object(_object(given, "channelData"), "channel").get("id")
    if not isinstance(channel, str) or not channel:
        raise bad_argument("One member, or a channel, is needed.")
    return _post(call, given, channel)


def _post(call: Call, given: dict[str, Any], channel_id: str) -> Response:
    found = call.world.channels.get(channel_id)
    if found is None:
        raise not_found()
    where = in_channel(call, found)
    if _tenant(given) not in {None, where.directory.id}:
        raise not_found()
    first = activity(call, given.get("activity"))
    if not first.parts:
        raise bad_argument("A channel's conversation begins with a message.")
    check_reach(call, where)
    check_mentions(call, first.given, where)
    count_write(call, "create", where.id, where.directory, first.cost)
    made = store(call, where, first)
    root = made[0].id
    for other in made[1:]:
        other.root = root
    return JSONResponse({"id": f"{where.id};messageid={root}", "activityId": root}, 201)


def _chat(call: Call, given: dict[str, Any]) -> Response:
    user = _member(call, given)
    check_host(call, call.world.directories[user.directory])
    if given.get("isGroup"):
        raise bad_argument("Bots cannot create group chats.")
    where = _opened(call, user)
    count_write(call, "create", where.id, where.directory)
    told: dict[str, str] = {"id": where.id}
    if given.get("activity") is not None:
        made = deliver(call, where, activity(call, given["activity"]))
        told |= {"activityId": made[0].id} if len(made) == 1 else {}
    return JSONResponse(told, 201)


def _member(call: Call, given: dict[str, Any]) -> User:
    members, tenant = given["members"], _tenant(given)
    if not isinstance(members, list) or len(members) != 1 or not isinstance(members[0], dict):
        raise bad_argument("Exactly one member is needed.")
    wanted = members[0].get("id")
    user = call.world.user(wanted) if isinstance(wanted, str) else None
    if user is None or wanted not in {user.id, user.channel_id}:
        raise bad_argument("The id of the member is neither a user's nor an Entra object id.")
    if tenant is None:
        raise bad_argument("The tenant of the conversation is needed.")
    if tenant != user.directory:
        raise bad_argument("The member is not part of the tenant.")
    return user


def _opened(call: Call, user: User) -> Place:
    """The chat of the user, where the app is installed. A block shows at the first message."""
    fresh = Conversation(id="", bot=call.bot.app_id, user=user.id)
    check_reach(call, personal(call, fresh, user))
    return personal(call, call.world.open(call.bot.app_id, user), user)


def _tenant(given: dict[str, Any]) -> Any:
    return given.get("tenantId") or _object(_object(given, "channelData"), "tenant").get("id")


def _object(given: dict[str, Any], name: str) -> dict[str, Any]:
    value = given.get(name)
    return value if isinstance(value, dict) else {}


ROUTES: Routes = {("POST", "*/v3/conversations"): create}
