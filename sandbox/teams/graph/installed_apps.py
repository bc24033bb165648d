"""Installations of an app for a user, and the chat that belongs to one.

Facts: Microsoft's page on proactive installation and welcome messages; the filter by `externalId`, the 409 of a second
installation and what else than the id a chat tells are guesses.
"""

import re
from typing import Any

from starlette.responses import JSONResponse, Response

from sandbox.teams.graph.people import addressed, bad, need_role
from sandbox.teams.models import INSTALL, Installation, TeamsApp
from sandbox.teams.routing import Routes
from sandbox.teams.wire import Call, graph_error

_FILTER = re.compile(r"teamsApp/(id|externalId) eq '([^']*)'")


def chat_id(user: str, bot: str) -> str:
    """Graph's id of the chat between a user and a bot."""
    return f"19:{user}_{bot}@unq.gbl.spaces"


def listed(call: Call) -> Response:
    """The apps that are installed for a user; apps of others are not told."""
    need_role(call, INSTALL)
    user, query = addressed(call), call.query
    found = [(one, call.world.apps[one.app]) for one in call.world.installed(call.token.app_id, user=user.id)]
    if "$filter" in query:
        matched = _FILTER.fullmatch(query["$filter"].strip())
        if matched is None:
            raise bad(call, f"The filter {query['$filter']!r} is not supported.")
        found = [(one, app) for one, app in found if matched[2] == _shown(app)[matched[1]]]
    expanded = query.get("$expand") == "teamsApp"
    return JSONResponse(
        {"value": [{"id": one.id, **({"teamsApp": _shown(app)} if expanded else {})} for one, app in found]}
    )


def _shown(app: TeamsApp) -> dict[str, Any]:
    named = {"id": app.id, "externalId": app.external_id, "displayName": app.name}
    return {**named, "distributionMethod": "organization"}


def chat(call: Call) -> Response:
    """The chat of an installation; asking for it makes it."""
    need_role(call, INSTALL)
    user = addressed(call)
    found = {one.id: one for one in call.world.installed(call.token.app_id, user=user.id)}
    if call.params[1] not in found:
        raise graph_error(call, 404, "NotFound", "The app installation was not found.")
    call.world.open(call.token.app_id, user)
    return JSONResponse({"id": chat_id(user.id, call.token.app_id), "chatType": "oneOnOne", "tenantId": user.directory})


def install(call: Call) -> Response:
    """Installs an app of the catalog for a user."""
    need_role(call, INSTALL)
    user, body = addressed(call), call.json()
    bound = body.get("teamsApp@odata.bind", "") if isinstance(body, dict) else ""
    app = call.world.apps.get(str(bound).rpartition("/appCatalogs/teamsApps/")[2])
    if app is None or app.bot != call.token.app_id:
        raise bad(call, "teamsApp@odata.bind names no app of the catalog.")
    if _known(call, app, user.id):
        raise graph_error(call, 409, "Conflict", "The app is already installed for the user.")
    made = call.world.install(app, user=user.id)
    call.world.effects.record("install_app", user.id, {"app": app.id, "installation": made.id})
    return Response(status_code=201)


def _known(call: Call, app: TeamsApp, user: str) -> list[Installation]:
    return [one for one in call.world.installed(app.bot, user=user) if one.app == app.id]


ROUTES: Routes = {
    ("GET", "v1.0/users/*/teamwork/installedApps"): listed,
    ("POST", "v1.0/users/*/teamwork/installedApps"): install,
    ("GET", "v1.0/users/*/teamwork/installedApps/*/chat"): chat,
}
