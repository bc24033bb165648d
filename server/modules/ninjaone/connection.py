"""Being connected to NinjaOne: where the tenant lives, for whom we act, how NinjaOne says no."""

from typing import Final

from server.gen.patchbay.modules.ninjaone.v1.ninjaone_pb2 import NinjaOneConnection
from server.sdk import SignIn
from server.sdk.addresses import instance_address
from server.sdk.meanings import Meaning, meanings
from server.sdk.oauth import OAuthApp, authorize_url

_USER_SCOPES: Final = ("monitoring", "management", "offline_access")
_MAY_NOT: Final = "The user or the client app may not do this: it lacks the scope, the role, or this device."

# A missing entity has a result code of its own; a missing route has the general one, or a page.
read_error: Final = meanings(
    Meaning(
        "VENDOR_PERMISSION_DENIED",
        "NinjaOne does this only for a user who has signed in; the connection acts for an app.",
        code="user_context_required",
        remedy="Connect NinjaOne again with a user sign-in.",
    ),
    Meaning("VENDOR_PERMISSION_DENIED", _MAY_NOT, code="insufficient_privileges"),
    Meaning("VENDOR_PERMISSION_DENIED", _MAY_NOT, status=403),
    Meaning("VENDOR_PERMISSION_DENIED", _MAY_NOT, status=500, code="(?i).*permission.*"),
    Meaning(
        "VENDOR_ANSWER_INVALID",
        "This address does not offer what was asked of NinjaOne's API.",
        status=404,
        code="|FAILURE",
    ),
    code=("error", "resultCode", "errorCode"),
)
_app_unknown: Final = meanings(
    Meaning(
        "INTEGRATION_MISCONFIGURED",
        "NinjaOne does not know the client id here. A client app exists in one region only.",
        status=404,
        remedy="Compare the region with the address in the browser, and the client id.",
        field="settings.client_id",
    )
)


def instance_url(settings: NinjaOneConnection) -> str:
    """Returns the address of the instance: of a region `https://<region>.ninjarmm.com`, where `us` is `app`."""
    region = "app" if settings.region == "us" else settings.region
    return instance_address(settings.instance_url, f"https://{region}.ninjarmm.com")


def sign_in(settings: NinjaOneConnection, begun: SignIn) -> str:
    """Returns the address at which a person signs in."""
    return authorize_url(instance_url(settings), app_of(settings), begun)


def app_of(settings: NinjaOneConnection) -> OAuthApp:
    """Returns the client app. Client credentials ask for no scope: NinjaOne then gives all that the app has."""
    path = settings.oauth_path or "/ws/oauth"
    return OAuthApp(
        token_path=f"{path}/token",
        authorize_path=f"{path}/authorize",
        client_id=settings.client_id,
        client_secret=settings.client_secret,
        scopes=() if settings.client_credentials else _USER_SCOPES,
        read_error=_app_unknown,
    )
