"""The egress guard under the connections: names are resolved here, checked, and connected to exactly as checked.

Three gates, each enough alone: `Target.parse` for literals in texts, the resolver for names (one address that is not
allowed refuses the name), and the socket factory for whatever is about to be connected.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from server.sdk.http.grant import EgressGrant
from server.sdk.http.target import literal_address

Lookup = Callable[[str], Awaitable[Sequence[str]]]
"""Returns the addresses of a host name; raises OSError when it has none."""

AddressInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[Any, ...]]


class AddressRefused(OSError):
    """An address is not allowed. An OSError, because that is what resolvers and socket factories may raise."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"address refused: {kind}")
        self.kind = kind


async def system_lookup(host: str) -> Sequence[str]:
    """Asks the operating system."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [str(info[4][0]) for info in found]


class GuardedResolver(AbstractResolver):
    """Resolves names for one grant; refuses a name when any of its addresses is not allowed."""

    def __init__(self, grant: EgressGrant, lookup: Lookup) -> None:
        self._grant = grant
        self._lookup = lookup

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002 - the signature is aiohttp's
    ) -> list[ResolveResult]:
        """Returns the checked addresses; raises AddressRefused or the OSError of the look-up."""
        addresses = list(dict.fromkeys(await self._lookup(host)))
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "no address")
        for address in addresses:
            check_address(address, self._grant)
        return [_result(host, address, port) for address in addresses]

    async def close(self) -> None:
        """Holds nothing."""


def _result(name: str, address: str, port: int) -> ResolveResult:
    return ResolveResult(
        hostname=name,
        host=address,
        port=port,
        family=socket.AF_INET6 if ":" in address else socket.AF_INET,
        proto=socket.IPPROTO_TCP,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )


def check_address(text: str, grant: EgressGrant) -> None:
    """Raises AddressRefused unless the text is an address that the grant allows."""
    address = literal_address(text)
    kind = "unreadable" if address is None else grant.refusal(address)
    if kind:
        raise AddressRefused(kind)


def guarded_sockets(grant: EgressGrant) -> Callable[[AddressInfo], socket.socket]:
    """Returns the socket factory that checks each address in the moment before it is connected to."""

    def make(info: AddressInfo) -> socket.socket:
        family, kind, protocol, _name, address = info
        check_address(str(address[0]), grant)
        return socket.socket(family, kind, protocol)

    return make
