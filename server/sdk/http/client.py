"""What a module's vendor client is written with."""

import json as codec
import re
from collections.abc import Awaitable, Callable, Container, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlencode

from server.sdk import scope
from server.sdk.failures import ActionFailure, OutcomeUnknown
from server.sdk.http.call import Call, ReadError
from server.sdk.http.courier import Courier
from server.sdk.http.response import HttpResponse
from server.sdk.http.target import Target, check_path, misconfigured
from server.sdk.http.translate import AnswerLost

Parameter = str | int | float | bool | Sequence[str | int] | None

MAX_BYTES = 8 * 1024 * 1024
_OK = range(200, 300)
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")


class HttpClient:
    """Makes requests for the running execution, under its deadline, budget, grant and send mark.

    Cheap to derive; connections belong to the HttpPool. Obtained from it, or from a module's ConnectionScope.
    """

    __slots__ = ("_courier", "_headers", "_max_bytes", "_no_effect", "_read_error", "_target")

    def __init__(self, courier: Courier) -> None:
        self._courier = courier
        self._target: Target | None = None
        self._headers: dict[str, str] = dict(courier.plain_headers)
        self._read_error: ReadError | None = None
        self._no_effect: Container[int] = ()
        self._max_bytes = MAX_BYTES

    def __repr__(self) -> str:
        return f"HttpClient({self._target.origin if self._target else 'unbound'})"

    def bind(
        self,
        *,
        base_url: str,
        headers: Mapping[str, str] | None = None,
        read_error: ReadError | None = None,
        no_effect: Container[int] = (),
        max_bytes: int = MAX_BYTES,
    ) -> "HttpClient":
        """Returns a client for one vendor address. Sends nothing.

        Args:
            base_url: Paths of requests are appended to it.
            headers: Sent with every request; they never leave the origin of `base_url`.
            read_error: The module's reading of statuses that were not asked for; None from it: the general one.
            no_effect: Statuses with which the vendor says that it did nothing and may be asked again. A write that
                gets one is made again within its attempts, whatever the action's effect class.
            max_bytes: Largest accepted answer, after unpacking.

        Raises:
            ActionFailure: INTEGRATION_MISCONFIGURED or EGRESS_REFUSED; the address or a header cannot be used.
        """
        bound = HttpClient(self._courier)
        bound._target = Target.parse(base_url, self._courier.grant)
        bound._headers = {**self._courier.plain_headers, **_checked(headers or {})}
        bound._read_error = read_error
        bound._no_effect = no_effect
        bound._max_bytes = max_bytes
        return bound

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Parameter] | None = None,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - it bounds attempts and leaves out the wait for the budget
        effect: bool | None = None,
        ok: Container[int] = _OK,
        about: str = "",
    ) -> HttpResponse:
        """Makes one request, again where that is safe, and returns an answer whose status is in `ok`.

        Args:
            method: HTTP method.
            path: Below the base address, percent-encoded where ids need it; or a whole address of the same origin,
                such as a vendor's link to the next page.
            params: Query; None values are left out, sequences repeat the name.
            json: Body as JSON.
            form: Body as a form, instead of `json`.
            content: Body as it is, instead of `json`; `content-type` then is among the headers.
            headers: Further headers; they win over the bound ones.
            timeout: Seconds for all attempts; the execution's deadline holds anyway.
            effect: Whether it may change something at the vendor. None: unless it is GET, HEAD or OPTIONS.
            ok: Statuses that are answers; every other one is a failure.
            about: Input field that names what is asked about; a failure NOT_FOUND tells it.

        Raises:
            ActionFailure: What went wrong, with what is known about the effect.
            LeaseLost: Another replica owns the execution; nothing was sent.
        """
        method = method.upper()
        merged, body = self._merged(headers, json, form)
        call = self._call(method, self._url(path, params), merged, body if content is None else content, timeout)
        writes = call.writes if effect is None else effect
        if writes is not call.writes or ok is not _OK or about:
            call = replace(call, writes=writes, ok=ok, about=about)
        return await self._courier.deliver(call, scope.current())

    async def sign_in(
        self,
        path: str,
        *,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        secrets: Iterable[str] = (),
        read_error: ReadError | None = None,
        before: Callable[[], Awaitable[None]] | None = None,
        timeout: float = 30.0,  # noqa: ASYNC109 - as above
    ) -> dict[str, Any]:
        """Posts what obtains credentials and returns the object that is answered.

        No part of the running execution, which need not exist: it is not its write and spends no budget. Not repeated
        once it may have arrived.

        Args:
            path: Below the base address.
            json: Body as JSON.
            form: Body as a form, instead of `json`.
            secrets: What must be masked in the vendor's words.
            read_error: The module's reading of refusals. None: the bound one.
            before: Called before the first byte leaves; what it raises keeps the request from being sent.
            timeout: Seconds; the execution's deadline holds anyway.

        Raises:
            AnswerLost: It may have arrived, and nobody knows what it did.
            ActionFailure: It was refused, or never left.
        """
        merged, content = self._merged(None, json, form)
        call = self._call("POST", self._url(path, None), merged, content, timeout)
        call = replace(call, read_error=read_error or self._read_error)
        running = scope.running()
        try:
            async with scope.entered(scope.aside(timeout, secrets, before)) as apart:
                return _object(await self._courier.deliver(call, apart))
        except ActionFailure as failure:
            told = AnswerLost.told(failure) if isinstance(failure, OutcomeUnknown) else failure
            raise (running.after_writes(told) if running else told) from None

    def _call(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None, seconds: float | None
    ) -> Call:
        return Call(
            method=method,
            url=url,
            host=self._target.host if self._target else "",
            headers=headers,
            content=content,
            writes=method not in _READS,
            timeout=seconds,
            ok=_OK,
            no_effect=self._no_effect,
            read_error=self._read_error,
            max_bytes=self._max_bytes,
        )

    @staticmethod
    def learn_secret(secret: str) -> None:
        """Has a secret that was just obtained, such as a session token, masked in everything the running execution
        tells. Call it in every execution that uses the secret."""
        scope.current().masker.add([secret])

    @staticmethod
    def mask(text: str) -> str:
        """Returns a text without the secrets of the running execution; for vendor texts that are cut afterwards."""
        return scope.current().masker(text)

    def _merged(
        self, headers: Mapping[str, str] | None, json: Any, form: Mapping[str, str] | None
    ) -> tuple[dict[str, str], bytes | None]:
        content, kind = _body(json, form)
        if not kind and not headers:
            return self._headers, content
        typed = {"content-type": kind} if kind else {}
        return {**self._headers, **typed, **_checked(headers or {})}, content

    def _url(self, path: str, params: Mapping[str, Parameter] | None) -> str:
        if self._target is None:
            raise ValueError("bind the client to an address first")
        if path[:8].lower().startswith(("http://", "https://")):
            url = self._same_origin(path)
        else:
            url = self._target.join(path)
        if not params or not (pairs := _pairs(params)):
            return url
        return f"{url}{'&' if '?' in url else '?'}{urlencode(pairs, quote_via=quote)}"

    def _same_origin(self, url: str) -> str:
        target = Target.parse(url, self._courier.grant)
        if self._target is None or target.origin != self._target.origin:
            raise ActionFailure("EGRESS_REFUSED", "The vendor pointed to an address of another origin.")
        check_path(target.rest)
        return target.url


def _body(json: Any, form: Mapping[str, str] | None) -> tuple[bytes | None, str]:
    if form is not None:
        return urlencode(form).encode("ascii"), "application/x-www-form-urlencoded"
    if json is None:
        return None, ""
    return codec.dumps(json, separators=(",", ":"), allow_nan=False).encode("ascii"), "application/json"


def _object(response: HttpResponse) -> dict[str, Any]:
    value = response.json()
    if isinstance(value, dict):
        return value
    raise AnswerLost("VENDOR_ANSWER_INVALID", "The vendor answered a sign-in with something else than an object.")


def _pairs(params: Mapping[str, Parameter]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for name, value in params.items():
        if isinstance(value, Sequence) and not isinstance(value, str):
            pairs += [(name, str(one)) for one in value]
        elif value is not None:
            pairs.append((name, str(value).lower() if isinstance(value, bool) else str(value)))
    return pairs


def _checked(headers: Mapping[str, str]) -> dict[str, str]:
    """Returns headers by lower-case name. Never shows a value: it may be a credential."""
    checked = {name.lower(): value for name, value in headers.items()}
    for name, value in checked.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise misconfigured(f"The value for the header {name!r} holds a character that headers cannot carry.")
    return checked
