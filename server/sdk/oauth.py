"""OAuth 2 for modules: access tokens that are obtained, kept for all replicas, and renewed by one of them at a time.

A module says where its token endpoint is, which app it is and what grant it has; see docs/decisions/0012-oauth.md.
"""

import asyncio
import json
import math
import re
from collections.abc import Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlencode

import structlog

from server.gen.patchbay.v1.authorization_pb2 import AuthorizationCode
from server.sdk import scope
from server.sdk.context import Deadline
from server.sdk.failures import ActionFailure
from server.sdk.http import AnswerLost, HttpClient, HttpResponse
from server.sdk.http.call import ReadError
from server.sdk.module import ConnectionScope, SignIn
from server.sdk.signed import with_token
from server.sdk.tokens import TokenSet, TokenTurn

_DEAD: Final = frozenset({"invalid_grant", "invalid_token", "expired_token"})
_SECRET_FIELDS: Final = frozenset({"client_secret", "refresh_token", "code", "code_verifier"})
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")
_TOKEN_SECONDS: Final = 30.0
_DEFAULT_LIFETIME: Final = 3_600.0
_LONGEST_LIFETIME: Final = 366 * 86_400.0
_REST_SECONDS: Final = 30.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthApp:
    """The app that the vendor knows us as.

    Attributes:
        token_path: Path of the token endpoint below the address of the HTTP client.
        client_id: Its id.
        client_secret: Its secret. Empty: a public client.
        scopes: What to ask for. Empty: what the vendor gives by default.
        read_error: The module's reading of refusals that RFC 6749 leaves open. None, or None from it: the general one.
        authorize_path: Path of the page where a person signs in. Empty: nobody does.
    """

    token_path: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    scopes: Sequence[str] = ()
    read_error: ReadError | None = None
    authorize_path: str = ""


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """The app acts for itself (RFC 6749 section 4.4)."""


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """The app acts for a user who has signed in somewhere else (section 6)."""

    token: str = field(repr=False)


Grant = ClientCredentials | RefreshToken | AuthorizationCode
"""AuthorizationCode: the app acts for a user who has just signed in; the code is exchanged once, then tokens count."""


def grant_of(settings: Any) -> Grant:
    """Returns the grant of settings with a choice of `sign_in`, an AuthorizationCode, `refresh_token` and
    `client_credentials`."""
    if settings.client_credentials:
        return ClientCredentials()
    return RefreshToken(settings.refresh_token) if settings.refresh_token else settings.sign_in


def authorize_url(address: str, app: OAuthApp, sign_in: SignIn) -> str:
    """Returns where a person signs in (RFC 6749 section 4.1.1, PKCE with S256).

    Args:
        address: The vendor's address, without the app's `authorize_path`.
        app: The app; its secret is not used.
        sign_in: What BeginSignIn was given.
    """
    query = {
        "response_type": "code",
        "client_id": app.client_id,
        "redirect_uri": sign_in.redirect_uri,
        "scope": " ".join(app.scopes),
        "state": sign_in.state,
        "code_challenge": sign_in.code_challenge,
        "code_challenge_method": "S256",
    }
    wanted = {name: value for name, value in query.items() if value}
    return f"{address}{app.authorize_path}?{urlencode(wanted, quote_via=quote)}"


class AccessTokens:
    """The access tokens of one connection.

    Args:
        connection: What the module's `connect` was given.
        http: Bound to the vendor, without credentials.
        app: The app.
        grant: What the settings hold. Tokens that are stored for the connection come first.
        slot: Name of this set, for a connection with several, such as one for each audience.
    """

    def __init__(
        self, connection: ConnectionScope[Any], http: HttpClient, app: OAuthApp, grant: Grant, *, slot: str = ""
    ) -> None:
        self._keeper = connection.tokens.slot(slot) if slot else connection.tokens
        self._http = http
        self._app = app
        self._grant = grant
        self._tokens: TokenSet | None = None
        self._loading = asyncio.Lock()
        self._renewing: asyncio.Task[TokenSet] | None = None
        self._rest = Deadline.after(0)
        self._dead: ActionFailure | None = None

    async def bearer(self) -> str:
        """Returns an access token that should be accepted now. One that ends soon is renewed meanwhile.

        Raises:
            ActionFailure: CREDENTIALS_EXPIRED when only connecting again helps, CREDENTIALS_REFUSED or
                INTEGRATION_MISCONFIGURED when the app is not accepted, else what was wrong at the token endpoint.
        """
        tokens = await self._known()
        if tokens is None or not tokens.alive:
            tokens = await self._renewed()
        elif tokens.due and not self._rest.remaining():
            self._renewal()
        for secret in (tokens.access_token, tokens.refresh_token):
            self._http.learn_secret(secret)
        return tokens.access_token

    async def renew(self, refused: str) -> None:
        """Obtains another access token after the vendor refused this one, unless somebody has done so already.

        Raises:
            ActionFailure: As `bearer`.
        """
        tokens = await self._known()
        if tokens is None or tokens.access_token != refused:
            return
        tokens = await self._renewed(refused)
        if tokens.access_token == refused:  # a renewal that began before the refusal found this one good enough
            await self._renewed(refused)

    async def send(
        self, http: HttpClient, method: str, path: str, *, headers: Mapping[str, str] | None = None, **more: Any
    ) -> HttpResponse:
        """Makes a request with an access token; when the vendor refuses the token, once more with another one.

        Args:
            http: Bound to the vendor; its reading of errors tells a refused token as CREDENTIALS_REFUSED.
            method: HTTP method.
            path: Path.
            headers: Further headers.
            **more: As for `HttpClient.request`.

        Raises:
            ActionFailure: As `bearer` and `HttpClient.request`.
        """

        async def signed(token: str) -> HttpResponse:
            return await http.request(method, path, headers={**(headers or {}), **_signed(token)}, **more)

        return await with_token(signed, self.bearer, self._another)

    async def _another(self, refused: str) -> str:
        await self.renew(refused)
        return await self.bearer()

    async def _known(self) -> TokenSet | None:
        if self._tokens is None:
            async with self._loading:
                self._tokens = self._tokens or await self._keeper.load()
        return self._tokens

    async def _renewed(self, refused: str = "") -> TokenSet:
        try:
            if self._dead is not None and self._rest.remaining():
                raise self._dead
            return await asyncio.shield(self._renewal(refused))
        except ActionFailure as failure:
            raise scope.current().after_writes(ActionFailure.of(failure.failure)) from None

    def _renewal(self, refused: str = "") -> asyncio.Task[TokenSet]:
        """Returns the renewal that is under way, or starts one. It belongs to nobody: a caller that leaves, or whose
        time runs out, must not end it between the vendor's answer and our record."""
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.create_task(self._renew(refused), name="token renewal", context=Context())
            self._renewing.add_done_callback(self._ended)
        return self._renewing

    def _ended(self, renewing: asyncio.Task[TokenSet]) -> None:
        if renewing.cancelled() or (error := renewing.exception()) is None:
            self._dead = None
            return
        self._rest = Deadline.after(_REST_SECONDS)
        reason = error.failure.reason if isinstance(error, ActionFailure) else type(error).__name__
        self._dead = error if isinstance(error, ActionFailure) and reason == "CREDENTIALS_EXPIRED" else None
        _log.warning("token_not_renewed", reason=reason)

    async def _renew(self, refused: str) -> TokenSet:
        async with self._keeper.turn() as turn:
            stored = turn.stored
            if stored is not None and stored.access_token != refused and not stored.due:
                self._tokens = stored
            else:
                self._tokens = await self._obtain(turn)
        return self._tokens

    async def _obtain(self, turn: TokenTurn) -> TokenSet:
        form, began = self._form(turn.stored), Deadline.after(0)
        old = turn.stored or TokenSet(
            access_token="", refresh_token=form.get("refresh_token", ""), expires=began, lifetime=0.0
        )
        try:
            answer = await self._http.sign_in(
                self._app.token_path,
                form=form,
                secrets=[form[name] for name in _SECRET_FIELDS & form.keys()],
                read_error=self._refusal,
                before=lambda: turn.begin(old),
                timeout=_TOKEN_SECONDS,
            )
        except AnswerLost:
            raise
        except ActionFailure as failure:
            await turn.undo()
            if failure.failure.reason == "CREDENTIALS_EXPIRED":
                return await self._after_refusal(failure, turn, old)
            raise
        return await turn.keep(_token_set(answer, old, began))

    async def _after_refusal(self, failure: ActionFailure, turn: TokenTurn, old: TokenSet) -> TokenSet:
        """Returns tokens that were stored after all by a renewal that was taken for dead; else raises."""
        late = await self._keeper.load()
        if late is not None and late.access_token != old.access_token and late.alive:
            return late
        if turn.interrupted:
            failure.failure.message = (
                "The vendor refuses the stored refresh token. An earlier renewal was interrupted before its answer "
                "was stored; the vendor may have replaced the token then."
            )
        raise failure

    def _refusal(self, response: HttpResponse) -> ActionFailure | None:
        own = self._app.read_error(response) if self._app.read_error else None
        return own or _refusal(response)

    def _form(self, stored: TokenSet | None) -> dict[str, str]:
        form = {**self._grant_form(stored), "client_id": self._app.client_id}
        return {**form, "client_secret": self._app.client_secret} if self._app.client_secret else form

    def _grant_form(self, stored: TokenSet | None) -> dict[str, str]:
        grant = self._grant
        if stored is not None and stored.refresh_token:
            return {"grant_type": "refresh_token", "refresh_token": stored.refresh_token}
        if isinstance(grant, RefreshToken):
            return {"grant_type": "refresh_token", "refresh_token": grant.token}
        if isinstance(grant, ClientCredentials):
            scopes = {"scope": " ".join(self._app.scopes)} if self._app.scopes else {}
            return {"grant_type": "client_credentials", **scopes}
        if stored is not None:
            raise _expired("The sign-in has ended, and the vendor gave no refresh token with it.")
        return {
            "grant_type": "authorization_code",
            "code": grant.code,
            "code_verifier": grant.code_verifier,
            "redirect_uri": grant.redirect_uri,
        }


def _signed(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def _expired(message: str, response: HttpResponse | None = None) -> ActionFailure:
    return ActionFailure(
        "CREDENTIALS_EXPIRED",
        message,
        remedy="Connect the tool again.",
        vendor_status=response.status if response else 0,
        vendor_message=_said(response) if response else "",
    )


def _refusal(response: HttpResponse) -> ActionFailure | None:
    """Reads a token endpoint's refusal (RFC 6749 section 5.2). None: the status says enough."""
    if not 400 <= response.status < 500 or response.status in {403, 408, 429}:
        return None
    if _error(response) in _DEAD:
        return _expired("The vendor does not accept the sign-in any more.", response)
    refused = response.status == 401 or _error(response) == "invalid_client"
    reason = "CREDENTIALS_REFUSED" if refused else "INTEGRATION_MISCONFIGURED"
    message = f"The vendor's token endpoint did not accept the app ({response.status})."
    return ActionFailure(reason, message, vendor_status=response.status, vendor_message=_said(response))


def _error(response: HttpResponse) -> str:
    try:
        body = json.loads(response.content)
    except ValueError:
        return ""
    return str(body.get("error", "")) if isinstance(body, dict) else ""


def _said(response: HttpResponse) -> str:
    return " ".join(HttpClient.mask(response.text).split())


def _token_set(answer: Mapping[str, Any], old: TokenSet, began: Deadline) -> TokenSet:
    """Returns the tokens of an answer (section 5.1); one without a refresh token keeps the old one (section 6)."""
    access, refresh = answer.get("access_token"), answer.get("refresh_token")
    kind = answer.get("token_type")
    if not isinstance(access, str) or not _TOKEN.fullmatch(access):
        raise AnswerLost("VENDOR_ANSWER_INVALID", "The vendor's token endpoint answered without an access token.")
    if isinstance(kind, str) and kind.lower() != "bearer":
        raise AnswerLost("VENDOR_ANSWER_INVALID", "The vendor gave a token of another kind than bearer.")
    lifetime = _lifetime(answer.get("expires_in"))
    return TokenSet(
        access_token=access,
        refresh_token=refresh if isinstance(refresh, str) and refresh else old.refresh_token,
        expires=Deadline(began.at + lifetime),
        lifetime=lifetime,
    )


def _lifetime(told: Any) -> float:
    try:
        seconds = float(told)
    except (TypeError, ValueError, OverflowError):
        return _DEFAULT_LIFETIME
    if not math.isfinite(seconds) or seconds <= 0:
        return _DEFAULT_LIFETIME
    return min(seconds, _LONGEST_LIFETIME)
