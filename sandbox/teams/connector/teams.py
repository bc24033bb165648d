"""What a bot may ask of a team in which it is installed. Seen with Microsoft's Playground; General has no name."""

from starlette.responses import JSONResponse, Response

from sandbox.teams.connector.counting import count_read
from sandbox.teams.connector.places import check_host, in_channel, not_found, on_roster
from sandbox.teams.models import Channel, Team
from sandbox.teams.routing import Routes
from sandbox.teams.wire import Call, connector_error


def _team(call: Call) -> Team:
    team = call.world.teams.get(call.params[1])
    if team is None:
        raise not_found()
    where = in_channel(call, Channel(id=team.id, team=team.id))
    check_host(call, where.directory)
    if not on_roster(call, where):
        raise connector_error(403, "BotNotInConversationRoster", "The bot is not part of the conversation roster.")
    count_read(call, "conversations", team.id, where.directory)
    return team


def _channels(call: Call, team: Team) -> list[Channel]:
    shown = {"standard", "shared", *(["private"] if call.world.settings.list_private else [])}
    return [one for one in call.world.channels.values() if one.team == team.id and one.type in shown]


def details(call: Call) -> Response:
    """The team."""
    team = _team(call)
    counted = {"channelCount": len(_channels(call, team)), "memberCount": len(team.members)}
    named = {"id": team.id, "name": team.name, "aadGroupId": team.aad_group_id, "tenantId": team.directory}
    return JSONResponse({**named, "type": "standard", **counted})


def conversations(call: Call) -> Response:
    """Its channels."""
    rows = [
        {"id": one.id, **({"name": one.name} if one.name else {}), "channelType": one.type}
        for one in _channels(call, _team(call))
    ]
    return JSONResponse({"conversations": rows})


ROUTES: Routes = {("GET", "*/v3/teams/*"): details, ("GET", "*/v3/teams/*/conversations"): conversations}
