"""The public keys of a token issuer, fetched from its JWKS address and kept."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import httpx
import structlog

from server.core.addresses import is_loopback_name
from server.core.refusals import Refusal
from server.errors import PatchbayError

_log = structlog.get_logger(__name__)

Fetch = Callable[[str], Awaitable[Mapping[str, Any]]]
"""`await fetch(url)`: the JWKS document; raises KeysUnavailable."""

_MAX_BYTES = 512 * 1024
_FETCH_SECONDS = 5.0


class KeysUnavailable(PatchbayError):
    """The issuer's keys cannot be fetched."""


class UrlRefused(PatchbayError):
    """The JWKS address is not one that keys may be fetched from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPolicy:
    """How long fetched keys count, in seconds.

    Attributes:
        fresh: Until then nothing is fetched for a known key.
        stale: That much longer keys count while fetching fails.
        pause: Least time between two fetches, whatever callers present.
    """

    fresh: float = 300.0
    stale: float = 6 * 3600.0
    pause: float = 10.0


def check_url(url: str, *, allow_loopback_http: bool) -> None:
    """Raises UrlRefused unless the address is https, or http to this machine where that is allowed."""
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme == "http" and allow_loopback_http and is_loopback_name(parts.hostname or ""):
        return
    raise UrlRefused("the JWKS address must be https; http counts for loopback only, where the settings allow it")


async def fetch_document(url: str, ca_file: str = "") -> Mapping[str, Any]:
    """Fetches a JWKS document: no redirects, no proxies, at most 512 KiB, 5 s. Raises KeysUnavailable."""
    verify = ssl.create_default_context(cafile=ca_file) if ca_file else True
    try:
        async with (
            asyncio.timeout(_FETCH_SECONDS),
            httpx.AsyncClient(verify=verify, trust_env=False) as client,
            client.stream("GET", url) as answer,
        ):
            if answer.status_code != 200:
                raise KeysUnavailable(f"the JWKS address answered {answer.status_code}")
            content = bytearray()
            async for part in answer.aiter_bytes():
                content += part
                if len(content) > _MAX_BYTES:
                    raise KeysUnavailable("the JWKS document is too large")
            document = httpx.Response(200, content=bytes(content)).json()
    except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError, ValueError) as error:
        raise KeysUnavailable(f"the JWKS address cannot be read ({type(error).__name__})") from None
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise KeysUnavailable("the JWKS address answered something else than a key set")
    return document


class KeySet:
    """The keys of one issuer.

    One fetch at a time, however many callers wait. Keys that grew old are renewed in the background while
    they still answer; a key id nobody knows causes a fetch at most every `pause` seconds.

    Args:
        url: JWKS address.
        fetch: Gets the document.
        policy: How long keys count.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        url: str,
        *,
        fetch: Fetch = fetch_document,
        policy: KeyPolicy | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._url = url
        self._fetch = fetch
        self._policy = policy or KeyPolicy()
        self._clock = clock
        self._keys: tuple[Mapping[str, Any], ...] = ()
        self._fetched: float | None = None
        self._tried: float | None = None
        self._fetching: asyncio.Task[None] | None = None

    async def key(self, key_id: str | None) -> Mapping[str, Any] | None:
        """Returns the key with that id, or the only key when the token names none; None when there is no such.

        Raises Refusal ISSUER_UNAVAILABLE with `retry_after` while no usable keys can be fetched.
        """
        age = self._age()
        found = self._find(key_id) if age <= self._policy.fresh + self._policy.stale else None
        if found is not None:
            if age > self._policy.fresh:
                self._renew()
            return found
        if (renewal := self._renew()) is not None:
            await asyncio.shield(renewal)
        if self._age() > self._policy.fresh + self._policy.stale:
            message = "The keys of the token issuer cannot be fetched now."
            raise Refusal("ISSUER_UNAVAILABLE", message, retry_after=self._policy.pause)
        return self._find(key_id)

    async def aclose(self) -> None:
        """Ends a fetch that is under way."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)

    def _age(self) -> float:
        return float("inf") if self._fetched is None else self._clock() - self._fetched

    def _find(self, key_id: str | None) -> Mapping[str, Any] | None:
        if key_id is None:
            return self._keys[0] if len(self._keys) == 1 else None
        return next((key for key in self._keys if key.get("kid") == key_id), None)

    def _renew(self) -> asyncio.Task[None] | None:
        """Starts a fetch unless one runs or the last try is too recent; returns the one to wait for."""
        if self._fetching is None or self._fetching.done():
            if self._tried is not None and self._clock() - self._tried < self._policy.pause:
                return None
            self._tried = self._clock()
            self._fetching = asyncio.create_task(self._fetch_keys(), name="jwks")
        return self._fetching

    async def _fetch_keys(self) -> None:
        try:
            document = await self._fetch(self._url)
            self._keys = tuple(key for key in document["keys"] if _usable(key))
            self._fetched = self._clock()
        except KeysUnavailable as error:
            _log.warning("issuer_keys_not_fetched", error=str(error))


def _usable(key: Any) -> bool:
    """Keeps public signature keys; a symmetric key in a public document would make everybody an issuer."""
    return (
        isinstance(key, dict)
        and key.get("kty") in {"RSA", "EC", "OKP"}
        and key.get("use", "sig") == "sig"
        and "verify" in key.get("key_ops", ["verify"])
        and "d" not in key
    )
