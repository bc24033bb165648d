"""One user of the directory.

Facts: the v1.0 page "Get a user"; the properties are those that were asked for, or the default ones.
"""

from starlette.responses import JSONResponse, Response

from sandbox.teams.graph.people import addressed, need_role
from sandbox.teams.models import READ_USERS
from sandbox.teams.routing import Routes
from sandbox.teams.wire import Call

_DEFAULT = "id,displayName,givenName,surname,mail,userPrincipalName"


def found(call: Call) -> Response:
    """The user with this object id or user principal name."""
    need_role(call, READ_USERS)
    user = addressed(call)
    known = {
        "id": user.id,
        "displayName": user.name,
        "givenName": user.given_name,
        "surname": user.surname,
        "mail": user.upn,
        "userPrincipalName": user.upn,
    }
    wanted = call.query.get("$select", _DEFAULT).split(",")
    return JSONResponse({name: known[name] for name in wanted if name in known})


ROUTES: Routes = {("GET", "v1.0/users/*"): found}
