"""The Bot Connector: conversations, messages, members, teams. The first part of a path is the region."""

from uuid import uuid4

from starlette.responses import Response

from sandbox.teams.clouds import CLOUDS, cloud_of
from sandbox.teams.connector import creating, members, sending, teams
from sandbox.teams.routing import Routes, Surface
from sandbox.teams.wire import Call, connector_error, denied

ROUTES: Routes = {**creating.ROUTES, **sending.ROUTES, **members.ROUTES, **teams.ROUTES}


def _check(call: Call) -> None:
    """Takes a bot's token only from where bots of its kind get theirs."""
    token = call.accepted()
    if token is None or token.surface != "connector" or token.audience != CLOUDS[cloud_of(call.parts[1])].bot:
        raise denied()
    bot = call.world.bots[token.app_id]
    if token.directory != (bot.directory if bot.kind == "single" else ""):
        raise denied()
    if not bot.registered:
        raise connector_error(401, "BotNotRegistered", "No registration found for this bot.")
    call.signed = token


def _finish(call: Call, made: Response) -> None:
    made.headers["ms-cv"] = f"{uuid4().hex[:16]}.0"
    made.headers["contextid"] = f"tcid=0,server=SIM,cv={call.request_id}"


SURFACE = Surface(ROUTES, _check, _finish)
