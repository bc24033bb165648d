"""Who is part of a conversation. The list spells the Entra object id `objectId`, a single member `aadObjectId`."""

from typing import Any

from starlette.responses import JSONResponse, Response

from sandbox.teams.connector.counting import count_read
from sandbox.teams.connector.places import Place, check_host, no_message, on_roster, place
from sandbox.teams.models import User
from sandbox.teams.routing import Routes
from sandbox.teams.wire import Call, bad_argument, connector_error


def _reached(call: Call) -> Place:
    where = place(call, call.params[1])
    check_host(call, where.directory)
    if not on_roster(call, where):
        raise connector_error(403, "BotNotInConversationRoster", "The bot is not part of the conversation roster.")
    count_read(call, "members", where.id, where.directory)
    return where


def _people(call: Call, where: Place) -> list[User]:
    ids = where.team.members if where.team is not None else [where.user.id if where.user is not None else ""]
    return [user for user in map(call.world.user, ids) if user is not None]


def _row(user: User, spelling: str) -> dict[str, Any]:
    return {
        "id": user.channel_id,
        spelling: user.id,
        "name": user.name,
        "givenName": user.given_name,
        "surname": user.surname,
        "email": user.upn,
        "userPrincipalName": user.upn,
        "tenantId": user.directory,
        "userRole": "user",
    }


def listed(call: Call) -> Response:
    """All members."""
    return JSONResponse([_row(user, "objectId") for user in _people(call, _reached(call))])


def paged(call: Call) -> Response:
    """Members by pages of `pageSize`; the last page has no `continuationToken`."""
    people = _people(call, _reached(call))
    start, size = _number(call, "continuationToken", 0), _number(call, "pageSize", 200)
    page, end = people[start : start + size], start + size
    more = {"continuationToken": str(end)} if end < len(people) else {}
    return JSONResponse({"members": [_row(user, "objectId") for user in page], **more})


def _number(call: Call, name: str, default: int) -> int:
    value = call.query.get(name) or str(default)
    if not (value.isascii() and value.isdigit()):
        raise bad_argument(f"{name} is not valid.")
    return int(value) or default


def single(call: Call) -> Response:
    """One member, by the id of the channel or of Entra."""
    for user in _people(call, _reached(call)):
        if call.params[2] in {user.id, user.channel_id}:
            return JSONResponse(_row(user, "aadObjectId"))
    raise connector_error(404, "MemberNotFoundInConversation", "The member is not part of the conversation.")


def of_message(call: Call) -> Response:
    """Who can see a message."""
    where = _reached(call)
    message = call.world.messages.get(call.params[2])
    if message is None or message.conversation != where.id:
        raise no_message()
    return JSONResponse([_row(user, "objectId") for user in _people(call, where)])


ROUTES: Routes = {
    ("GET", "*/v3/conversations/*/members"): listed,
    ("GET", "*/v3/conversations/*/pagedmembers"): paged,
    ("GET", "*/v3/conversations/*/members/*"): single,
    ("GET", "*/v3/conversations/*/activities/*/members"): of_message,
}
