"""Tokens of a session that begins by name and password, for vendors without OAuth."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from server.sdk.context import Deadline
from server.sdk.failures import ActionFailure
from server.sdk.http import HttpClient, HttpResponse
from server.sdk.signed import with_token

_LASTING: Final = frozenset({"CREDENTIALS_REFUSED", "INTEGRATION_MISCONFIGURED"})
_REFUSAL_SECONDS: Final = 30.0


class Session:
    """Signs requests with a token of this process, obtained when it is first needed.

    One sign-in at a time; a refused one is not repeated for 30 seconds, since vendors allow few of them.

    Args:
        http: Bound to the vendor; its reading of errors tells a refused token as CREDENTIALS_REFUSED or
            CREDENTIALS_EXPIRED.
        sign_in: Obtains a token, see `HttpClient.sign_in`; raises ActionFailure.
        scheme: Word before the token in the Authorization header.
    """

    def __init__(self, http: HttpClient, sign_in: Callable[[], Awaitable[str]], scheme: str = "Bearer") -> None:
        self._http = http
        self._sign_in = sign_in
        self._scheme = scheme
        self._token = ""
        self._turn = asyncio.Lock()
        self._refusal: tuple[Deadline, ActionFailure] | None = None

    async def request(self, method: str, path: str, **more: Any) -> HttpResponse:
        """Makes a request; when the vendor refuses the token, once more with another one.

        Args:
            method: HTTP method.
            path: Path.
            **more: As for `HttpClient.request`, without headers.

        Raises:
            ActionFailure: As the sign-in and `HttpClient.request`.
        """

        async def send(token: str) -> HttpResponse:
            return await self._http.request(method, path, headers=self._signed(token), **more)

        return await with_token(send, self.token, self._another)

    async def token(self) -> str:
        """Returns the token; signs in when there is none."""
        token = self._token
        if not token:
            async with self._turn:
                token = self._token = self._token or await self._obtained()
        self._http.learn_secret(token)
        return token

    def forget(self, refused: str) -> None:
        """Gives up a token that the vendor refused, unless another request has replaced it already."""
        if self._token == refused:
            self._token = ""

    async def _another(self, refused: str) -> str:
        self.forget(refused)
        return await self.token()

    def _signed(self, token: str) -> Mapping[str, str]:
        return {"Authorization": f"{self._scheme} {token}"}

    async def _obtained(self) -> str:
        if self._refusal and self._refusal[0].remaining() > 0:
            raise ActionFailure.of(self._refusal[1].failure)
        try:
            return await self._sign_in()
        except ActionFailure as failure:
            if failure.failure.reason in _LASTING:
                self._refusal = Deadline.after(_REFUSAL_SECONDS), failure
            raise
