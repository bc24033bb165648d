"""One call on its way: budget, attempts, redirects, the clock, and what is known when it goes wrong."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from time import monotonic

import aiohttp
import httpx

from server.sdk.failures import ActionFailure, Effect, OutcomeUnknown
from server.sdk.http.call import Call
from server.sdk.http.flight import Flight, flights
from server.sdk.http.grant import EgressGrant
from server.sdk.http.response import HttpResponse, TooLargeError, read_body
from server.sdk.http.retry import Patience, Setback
from server.sdk.http.target import Target, refused
from server.sdk.http.translate import TROUBLE, of_answer, of_deadline, of_trouble, too_late
from server.sdk.scope import CallScope

CONNECT_SECONDS = 10.0
MAX_REDIRECTS = 3
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_FOLLOWED_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_ERROR_BYTES = 256 * 1024
_TIMEOUT = aiohttp.ClientTimeout(sock_connect=CONNECT_SECONDS)
_CHUNK = 16 * 1024
_WHOLE_BODY = 1024 * 1024
"""Longer bodies are handed to aiohttp as a stream; it objects to writing them in one piece."""


@dataclass(frozen=True, slots=True)
class Courier:
    """Delivers calls under one grant."""

    session: aiohttp.ClientSession
    grant: EgressGrant
    patience: Patience
    plain_headers: dict[str, str]
    """What every request carries and no origin may misuse."""

    async def deliver(self, call: Call, scope: CallScope) -> HttpResponse:
        """Returns the answer, after as many attempts as the scope allows.

        Raises:
            ActionFailure: It failed; its effect is what is known about all attempts and earlier writes together.
            LeaseLost: Another replica owns the execution; this attempt sent nothing.
        """
        try:
            return await self._deliver(call, scope)
        except ActionFailure as failure:
            raise scope.after_writes(failure) from None

    async def _deliver(self, call: Call, scope: CallScope) -> HttpResponse:
        ends = scope.deadline.at if call.timeout is None else monotonic() + call.timeout
        doubt: ActionFailure | None = None
        attempt = 1
        while True:
            ends += await _budget(scope, doubt)
            until = min(ends, scope.deadline.at)
            try:
                return await self._attempt(call, scope, until)
            except Setback as setback:
                last = setback
            doubt = last.failure if last.doubtful else doubt
            pause = self._pause(last, call, scope, attempt, until)
            if pause is None:
                raise _settled(last.failure, doubt)
            await self.patience.sleep(pause)
            attempt += 1

    def _pause(self, last: Setback, call: Call, scope: CallScope, attempt: int, until: float) -> float | None:
        if attempt >= scope.attempts or (last.departed and call.writes and not (scope.repeatable or last.harmless)):
            return None
        return self.patience.pause(last, attempt, until - monotonic())

    async def _attempt(self, call: Call, scope: CallScope, until: float) -> HttpResponse:
        response = await self._fly(call, Flight(scope, call.writes), until - monotonic())
        if response.status in call.ok:
            scope.wrote = scope.wrote or call.writes
            return response
        raise of_answer(response, call, scope.masker)

    async def _fly(self, call: Call, flight: Flight, seconds: float) -> HttpResponse:
        if seconds <= 0:
            # A timeout of 0 would still let a request out on a connection that is kept open.
            raise too_late()
        token = flights.set(flight)
        try:
            async with asyncio.timeout(seconds):
                return await self._follow(call, flight)
        except TROUBLE as error:
            if flight.stopped is not None:
                raise flight.stopped from None
            timed_out = type(error) is TimeoutError
            raise (of_deadline(flight, call) if timed_out else of_trouble(error, flight, call, 0)) from None
        finally:
            flights.reset(token)

    async def _follow(self, call: Call, flight: Flight) -> HttpResponse:
        response = await self._send(call, flight)
        for _ in range(MAX_REDIRECTS):
            location = _location(response, call)
            if not location:
                break
            call = self._moved(call, location)
            await flight.scope.before_request()
            flight.departed = False
            response = await self._send(call, flight)
        return response

    def _moved(self, call: Call, location: str) -> Call:
        """Returns the call at the address that the vendor pointed to; what was given for one origin stays there."""
        target, origin = self._pointed_to(call.url, location), Target.parse(call.url, self.grant).origin
        if target.origin == origin:
            return replace(call, url=target.url)
        if origin.startswith("https:") and target.origin.startswith("http:"):
            raise refused("The vendor redirects from https to plain http.")
        return replace(call, url=target.url, host=target.host, headers=self.plain_headers)

    def _pointed_to(self, url: str, location: str) -> Target:
        try:
            return Target.parse(str(httpx.URL(url).join(location)), self.grant)
        except ActionFailure as failure:
            if failure.failure.reason == "EGRESS_REFUSED":
                raise
        except (httpx.InvalidURL, UnicodeError):
            pass
        raise ActionFailure("VENDOR_ANSWER_INVALID", "The vendor redirects to what is no plain address.")

    async def _send(self, call: Call, flight: Flight) -> HttpResponse:
        headers, body = _outgoing(call)
        async with self.session.request(
            call.method, _address(call.url), headers=headers, data=body, allow_redirects=False, timeout=_TIMEOUT
        ) as raw:
            return await _answer(raw, call, flight)


async def _budget(scope: CallScope, doubt: ActionFailure | None) -> float:
    """Waits for the vendor budget; returns the seconds that took."""
    if scope.budget is None:
        return 0.0
    before = scope.budget_wait
    try:
        await scope.before_request()
    except ActionFailure as failure:
        raise _settled(failure, doubt) from None
    return scope.budget_wait - before


def _settled(last: ActionFailure, doubt: ActionFailure | None) -> ActionFailure:
    """Returns the last failure, unless an earlier attempt may have had the effect that the last one denies."""
    if doubt is None or last.failure.effect != Effect.EFFECT_NONE:
        return last
    return OutcomeUnknown(
        f"{doubt.failure.message} It was tried again: {last.failure.message}",
        vendor_status=last.failure.vendor_status or doubt.failure.vendor_status,
        vendor_message=last.failure.vendor_message or doubt.failure.vendor_message,
    )


def _location(response: HttpResponse, call: Call) -> str:
    followed = response.status in _REDIRECTS and response.status not in call.ok
    if call.writes or not followed or call.method not in _FOLLOWED_METHODS:
        return ""
    return response.headers.get("location", "")


def _outgoing(call: Call) -> tuple[Mapping[str, str], bytes | AsyncIterator[bytes] | None]:
    """Returns the headers and the body as aiohttp takes them."""
    if call.content is None or len(call.content) <= _WHOLE_BODY:
        return call.headers, call.content
    return {**call.headers, "content-length": str(len(call.content))}, _stream(call.content)


def _address(url: str) -> str:
    """Returns an address in its normal form; raises httpx.InvalidURL for what no address can hold."""
    return str(httpx.URL(url)) if "?" in url else _known_address(url)


@lru_cache(maxsize=1024)
def _known_address(url: str) -> str:
    return str(httpx.URL(url))


async def _stream(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def _answer(raw: aiohttp.ClientResponse, call: Call, flight: Flight) -> HttpResponse:
    """Reads the body. Without one, a status that is a refusal still says what happened."""
    status, expected = raw.status, raw.status in call.ok
    encoding = ", ".join(raw.headers.getall("content-encoding", ()))
    try:
        limit = call.max_bytes if expected else min(call.max_bytes, _ERROR_BYTES)
        body = await read_body(raw.content.iter_chunked(_CHUNK), encoding, limit)
    except TooLargeError as error:
        if expected:
            raise of_trouble(error, flight, call, status) from None
        body = error.begun
    except TROUBLE as error:
        if expected:
            raise of_trouble(error, flight, call, status) from None
        body = b""
    return HttpResponse(status, raw.headers, body, call.writes)
