"""Pools, scopes and clients for tests that talk to loopback vendors."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from server.sdk.context import Deadline
from server.sdk.http import EgressGrant, HttpClient, HttpPool
from server.sdk.masking import Masker
from server.sdk.scope import CallScope
from tests.sdk.vendor import Vendor

LOOPBACK = EgressGrant.parse(["127.0.0.0/8", "::1/128"], plain_http=True)
SECRET = "canary-7f3a9e-s3cr3t"


@pytest.fixture(scope="module", params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Both event loops: the server runs on uvloop, whose transports fail in their own ways."""
    return "asyncio", {"use_uvloop": request.param}


@dataclass
class Names:
    """A resolver with answers that tests write; names without one do not exist."""

    answers: dict[str, list[Sequence[str]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def __call__(self, host: str) -> Sequence[str]:
        """Returns the next answer for the name; the last one is repeated."""
        self.asked.append(host)
        if host not in self.answers:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        left = self.answers[host]
        return left.pop(0) if len(left) > 1 else left[0]


@dataclass
class Pauses:
    """Sleeps that only take notes."""

    taken: list[float] = field(default_factory=list)

    async def __call__(self, seconds: float) -> None:
        """Notes the pause."""
        self.taken.append(seconds)
        await asyncio.sleep(0)


@pytest.fixture
def names() -> Names:
    """The names of a test."""
    return Names()


@pytest.fixture
def pauses() -> Pauses:
    """The pauses of a test."""
    return Pauses()


@pytest.fixture
async def pool(names: Names, pauses: Pauses, anyio_backend: object) -> AsyncIterator[HttpPool]:
    """A pool whose names, pauses and jitter are the test's; jitter is always half."""
    made = HttpPool(lookup=names, sleep=pauses, draw=lambda: 0.5)
    yield made
    await made.close()


Bound = Callable[..., HttpClient]


@pytest.fixture
def bound(pool: HttpPool) -> Bound:
    """Returns a client for a vendor that carries a secret."""

    def make(target: Vendor | str, grant: EgressGrant = LOOPBACK, **more: Any) -> HttpClient:
        url = target if isinstance(target, str) else target.url
        return pool.client(grant).bind(base_url=url, headers={"X-API-KEY": SECRET}, **more)

    return make


def scope(
    seconds: float = 20.0,
    *,
    repeatable: bool = True,
    events: list[str] | None = None,
    mark: Callable[[Mapping[str, str]], Awaitable[None]] | None = None,
    **more: Any,
) -> CallScope:
    """Returns a scope whose send mark is noted in `events`."""

    async def note(_evidence: Mapping[str, str]) -> None:
        if events is not None:
            events.append("mark")

    return CallScope(
        deadline=Deadline.after(seconds),
        masker=Masker([SECRET]),
        repeatable=repeatable,
        mark_sent=mark or note,
        **more,
    )
