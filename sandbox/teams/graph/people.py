"""What all routes of a user ask first."""

from sandbox.control.wire import Refused
from sandbox.teams.models import TeamsApp, User
from sandbox.teams.wire import Call, graph_error


def bad(call: Call, message: str) -> Refused:
    """The 400 of a body or query that cannot be; its words are not the vendor's."""
    return graph_error(call, 400, "BadRequest", message)


def addressed(call: Call) -> User:
    """The user of the path, within the token's directory. Raises the 404."""
    user = call.world.user(call.params[0])
    if user is None or user.directory != call.token.directory or user.channel_id == call.params[0]:
        text = f"Resource '{call.params[0]}' does not exist."
        raise graph_error(call, 404, "Request_ResourceNotFound", text)
    return user


def need_role(call: Call, wanted: str) -> None:
    """Raises the 403 of a token without a permission; it lists those that the token has (n8n pull 38954)."""
    if wanted not in call.token.roles:
        held = ",".join(call.token.roles)
        text = (
            f"Missing role permissions on the request. API requires one of '{wanted}'. Roles on the request '{held}'."
        )
        raise graph_error(call, 403, "Forbidden", text)


def apps_for(call: Call, user: User) -> list[TeamsApp]:
    """Apps of the token's application that reach a user: installed for the user, or in a team of the user."""
    world = call.world
    teams = [team.id for team in world.teams.values() if user.id in team.members]
    found = [*world.installed(call.token.app_id, user=user.id)]
    for team in teams:
        found += world.installed(call.token.app_id, team=team)
    return [world.apps[app] for app in dict.fromkeys(one.app for one in found)]
