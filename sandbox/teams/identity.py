"""The identity of the Bot Framework: where bots learn who signs what they receive.

`/identity/v1/...` is the public cloud's, `/identity/<cloud>/v1/...` that of another one; the keys are the same.
"""

from typing import get_args

from starlette.responses import JSONResponse, Response

from sandbox.control.wire import Refused
from sandbox.teams.clouds import CLOUDS, CloudName
from sandbox.teams.routing import Routes, Surface
from sandbox.teams.wire import Call


def _cloud(call: Call) -> CloudName:
    named = call.params[0] if call.params else "public"
    for cloud in get_args(CloudName):
        if cloud == named:
            found: CloudName = cloud
            return found
    raise Refused(Response(status_code=404))


def configuration(call: Call) -> Response:
    """The OpenID document."""
    issuer, folder = CLOUDS[_cloud(call)].issuer, "/".join(call.parts[:-1])
    return JSONResponse(
        {
            "issuer": issuer,
            "authorization_endpoint": "https://invalid.botframework.com",
            "jwks_uri": f"{call.base}/{folder}/keys",
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        }
    )


def keys(call: Call) -> Response:
    """The keys, with the channels that they are endorsed for."""
    _cloud(call)
    endorsed = call.world.settings.endorsements
    return JSONResponse({"keys": [key.published(endorsed) for key in call.world.vault.ring]})


def _check(_call: Call) -> None:
    """Nothing: everybody may read."""


def _finish(_call: Call, _made: Response) -> None:
    """Nothing to add."""


ROUTES: Routes = {
    ("GET", "v1/.well-known/openidconfiguration"): configuration,
    ("GET", "v1/.well-known/keys"): keys,
    ("GET", "*/v1/.well-known/openidconfiguration"): configuration,
    ("GET", "*/v1/.well-known/keys"): keys,
}
SURFACE = Surface(ROUTES, _check, _finish)
