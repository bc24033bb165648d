"""Being connected to NinjaOne: where the tenant lives, for whom we act, how NinjaOne says no."""

from typing import Final

from server.gen.patchbay.modules.ninjaone.v1.ninjaone_pb2 import NinjaOneConnection
from server.sdk import ActionFailure, SignIn
from server.sdk.addresses import instance_address
from server.sdk.http import HttpResponse
from server.sdk.oauth import OAuthApp, authorize_url
from server.sdk.reading import text

_USER_SCOPES: Final = ("monitoring", "management", "offline_access")
SIGN_IN_AGAIN: Final = "Connect NinjaOne again with a user sign-in."


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


def _app_unknown(response: HttpResponse) -> ActionFailure | None:
    if response.status != 404:
        return None
    message = "NinjaOne does not know the client id here. A client app exists in one region only."
    remedy = "Compare the region with the address in the browser, and the client id."
    return ActionFailure("INTEGRATION_MISCONFIGURED", message, remedy=remedy, field="settings.client_id")


def read_error(response: HttpResponse) -> ActionFailure | None:
    """Reads the error bodies of NinjaOne's layers: `error`, `resultCode`, `errorCode`, bare strings, pages.

    A missing entity has a result code of its own; a missing route has the general one, or a page. None leaves the
    translation to the framework.
    """
    code, status = _code(response), response.status
    if code == "user_context_required":
        message = "NinjaOne does this only for a user who has signed in; the connection acts for an app."
        return ActionFailure("VENDOR_PERMISSION_DENIED", message, remedy=SIGN_IN_AGAIN)
    if code == "insufficient_privileges" or status == 403 or (status == 500 and "permission" in code.lower()):
        message = "The user or the client app may not do this: it lacks the scope, the role, or this device."
        return ActionFailure("VENDOR_PERMISSION_DENIED", message)
    if status == 404 and code in {"", "FAILURE"}:
        message = "This address does not offer what was asked of NinjaOne's API."
        return ActionFailure("VENDOR_ANSWER_INVALID", message)
    return None


def _code(response: HttpResponse) -> str:
    try:
        body = response.json()
    except ActionFailure:
        return ""
    known = body if isinstance(body, dict) else {}
    return text(known.get("error") or known.get("resultCode") or known.get("errorCode")) or ""
