"""Shared connections: one set per grant, one pool per process."""

import asyncio
import random
import ssl
from collections.abc import Callable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, cast

import aiohttp
import httpx

from server.sdk.context import Sleep
from server.sdk.http.client import HttpClient
from server.sdk.http.courier import Courier
from server.sdk.http.flight import MarkingConnector
from server.sdk.http.grant import EgressGrant
from server.sdk.http.guard import GuardedResolver, Lookup, guarded_sockets, system_lookup
from server.sdk.http.retry import Patience

MAX_CONNECTIONS = 400
MAX_CONNECTIONS_PER_HOST = 64
KEEPALIVE_SECONDS = 4.0
"""Less than the 5 s of Node.js and uvicorn: a write on a connection that is just being closed has no known outcome."""


@cache
def user_agent() -> str:
    """Returns how the client names itself."""
    try:
        return f"patchbay/{version('patchbay')}"
    except PackageNotFoundError:
        return "patchbay/0"


class HttpPool:
    """The connections of a process. Made inside the running loop; `close` when the process ends.

    Args:
        lookup: Resolves names.
        tls: Verifies certificates. None: the authorities of certifi, or of SSL_CERT_FILE or SSL_CERT_DIR.
        sleep: Pauses between attempts.
        draw: A number from 0 to 1 for the jitter of pauses.
        dns_seconds: How long the addresses of a name are used for new connections.
    """

    def __init__(
        self,
        *,
        lookup: Lookup = system_lookup,
        tls: ssl.SSLContext | None = None,
        sleep: Sleep = asyncio.sleep,
        draw: Callable[[], float] = random.random,
        dns_seconds: int = 10,
    ) -> None:
        self._lookup = lookup
        self._dns_seconds = dns_seconds
        self._tls = tls or httpx.create_ssl_context()
        self._patience = Patience(sleep, draw)
        self._headers = {
            "accept": "application/json, */*;q=0.5",
            "accept-encoding": "gzip, deflate",
            "user-agent": user_agent(),
        }
        self._couriers: dict[EgressGrant, Courier] = {}
        self._sessions: list[aiohttp.ClientSession] = []

    def client(self, grant: EgressGrant) -> HttpClient:
        """Returns the client of a grant; equal grants share connections."""
        courier = self._couriers.get(grant)
        if courier is None:
            courier = self._couriers[grant] = self._courier(grant)
        return HttpClient(courier)

    async def close(self) -> None:
        """Closes every connection; requests under way fail."""
        self._couriers.clear()
        while self._sessions:
            await self._sessions.pop().close()

    def _courier(self, grant: EgressGrant) -> Courier:
        session = self._session(grant)
        self._sessions.append(session)
        return Courier(session, grant, self._patience, self._headers)

    def _session(self, grant: EgressGrant) -> aiohttp.ClientSession:
        connector = MarkingConnector(
            ssl=self._tls,
            resolver=GuardedResolver(grant, self._lookup),
            socket_factory=cast("Any", guarded_sockets(grant)),
            ttl_dns_cache=self._dns_seconds,
            keepalive_timeout=KEEPALIVE_SECONDS,
            limit=MAX_CONNECTIONS,
            limit_per_host=MAX_CONNECTIONS_PER_HOST,
        )
        session = aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, auto_decompress=False
        )
        # Else a PUT or DELETE on a stale connection goes out twice; MarkingConnector refuses that, too.
        session._retry_connection = False
        return session
