"""Being connected to a Tactical RMM server: its address, how to sign in, how it says no, how long it takes."""

import asyncio
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyotp

from server.gen.patchbay.modules.tacticalrmm.v1.tacticalrmm_pb2 import KnoxLogin, TacticalRmmConnection
from server.sdk import ActionFailure, Device, FailureCategory, OutcomeUnknown
from server.sdk.addresses import instance_address
from server.sdk.context import Sleep
from server.sdk.http import HttpClient, HttpResponse, spoken
from server.sdk.polling import doubling
from server.sdk.reading import clean

NATS_DOWN = "natsdown"
TIMEOUT = "timeout"

_UNABLE = "Unable to contact the agent"


class NotReached(OutcomeUnknown):
    """The server got no answer from the agent: it is offline, or slower than the server waits."""


def instance_url(settings: TacticalRmmConnection) -> str:
    """Returns the address of the API host, normalized: `https://api.example.com`.

    `https://` is added when no scheme is given; slashes at the end and a path of just `/api` are dropped.

    Raises:
        ActionFailure: INTEGRATION_MISCONFIGURED, when it is not an http address or says more than an address.
    """
    address = instance_address(settings.instance_url)
    return address.removesuffix("/api") if address.count("/") == 3 else address


@dataclass(frozen=True, slots=True)
class Pace:
    """How to watch an agent's history for the row of a run to be filled.

    Attributes:
        settle: Seconds that a filled row may lag behind the server's answer.
        grace: Seconds after a script's time limit within which its row is filled, if ever.
        first: First pause between looks; each one is twice as long as the one before.
        longest: Longest pause.
    """

    settle: float = 5.0
    grace: float = 60.0
    first: float = 0.1
    longest: float = 15.0
    sleep: Sleep = asyncio.sleep

    def pauses(self) -> Iterator[float]:
        """Yields the pauses."""
        return doubling(self.first, self.longest)


async def signed_in(http: HttpClient, login: KnoxLogin) -> str:
    """Signs in by user name and password, with a code when the account has an authenticator; returns the token.

    Raises:
        ActionFailure: CREDENTIALS_REFUSED, or INTEGRATION_MISCONFIGURED when a code is wanted and cannot be made.
    """

    async def ask(path: str, **more: str) -> Mapping[str, object]:
        credentials = {"username": login.username, "password": login.password, **more}
        return await http.sign_in(path, json=credentials, read_error=_login_refused)

    answer = await ask("/v2/checkcreds/")
    if answer.get("totp") is True:
        answer = await ask("/v2/login/", twofactor=_code(login))
    token = answer.get("token")
    if not isinstance(token, str) or not token:
        raise ActionFailure("VENDOR_ANSWER_INVALID", "Tactical RMM answered a sign-in without a token.")
    return token


def _code(login: KnoxLogin) -> str:
    secret = login.totp_secret.replace(" ", "").rstrip("=").upper()
    if not secret:
        raise _no_code("The account asks for an authenticator code and the connection has no secret for it.")
    try:
        return pyotp.TOTP(secret).now()
    except (binascii.Error, ValueError):
        raise _no_code("The authenticator's secret is not base32.") from None


def _no_code(message: str) -> ActionFailure:
    remedy = "Store the authenticator's secret, or use an API key."
    field = "settings.login.totp_secret"
    return ActionFailure("INTEGRATION_MISCONFIGURED", message, remedy=remedy, field=field)


def _login_refused(response: HttpResponse) -> ActionFailure | None:
    """Reads the answers of the sign-in views; every 400 of theirs means that the credentials are wrong."""
    if response.status != 400:
        return None
    return ActionFailure("CREDENTIALS_REFUSED", "Tactical RMM did not accept the user name, password or code.")


def long_gone(agent: Device) -> bool:
    """Says whether the server had not heard of the agent for minutes (4 unless set otherwise) when it told this."""
    return agent.status in {"offline", "overdue"}


def agent_offline(told: ActionFailure | None = None) -> ActionFailure:
    """The agent does not answer and got nothing. `told`: how the vendor answered."""
    return ActionFailure(
        "AGENT_OFFLINE",
        "The agent is offline; nothing was delivered to it.",
        retryable=True,
        category=FailureCategory.FAILURE_CATEGORY_UNAVAILABLE,
        told=told,
    )


def bus_down() -> ActionFailure:
    """The server says that it cannot reach its own message bus; it then has sent nothing."""
    return ActionFailure(
        "VENDOR_UNAVAILABLE",
        "Tactical RMM cannot reach its message bus (NATS); the agent got nothing.",
        vendor_message=NATS_DOWN,
    )


def read_error(response: HttpResponse) -> ActionFailure | None:
    """Reads the server's error bodies: bare strings, `{"detail"}`, `{"field": [...]}`, HTML pages, which say nothing.

    None leaves the translation to the framework: 429, and 5xx, which after a write means that nobody knows.
    """
    said, status = clean(spoken(response) or ""), response.status
    if status == 400:
        return _rejected(said)
    if status == 401:
        reason = "CREDENTIALS_EXPIRED" if "expired" in said.lower() else "CREDENTIALS_REFUSED"
        return ActionFailure(reason, f"Tactical RMM refused the credentials: {said}")
    if status == 403:
        message = "The account's role does not allow this, or not for this agent."
        return ActionFailure("VENDOR_PERMISSION_DENIED", message)
    if status == 404 and said:
        field = next((f"{name.lower()}_id" for name in ("Agent", "Script") if said.startswith(f"No {name} ")), "")
        return ActionFailure("NOT_FOUND", said, field=field)
    if status == 404:
        return ActionFailure("VENDOR_ANSWER_INVALID", "The address does not offer Tactical RMM's API.")
    return None


def _rejected(said: str) -> ActionFailure | None:
    if said == NATS_DOWN:
        return bus_down()
    if said in {_UNABLE, TIMEOUT}:
        return NotReached("The agent did not answer the server in time.")
    if said:
        return None
    message = "The server does not answer to this host name."
    return ActionFailure("INTEGRATION_MISCONFIGURED", message, field="settings.instance_url")
