"""Runs a module's handlers and probes as the server does, with a real connection pool and nothing recorded."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import uuid4

import structlog
from google.protobuf.message import Message

from server.contract.secrets import secret_values
from server.sdk import ActionContext, ConnectionScope, Deadline, IntegrationModule, Inventory, ProbeContext
from server.sdk.http import EgressGrant, HttpPool
from server.sdk.masking import Masker
from server.sdk.scope import CallScope, entered

M = TypeVar("M", bound=Message)

LOOPBACK = EgressGrant.parse(["127.0.0.0/8"], plain_http=True)


@dataclass
class Told:
    """What a handler told beside its answer. `marks` has the evidence of each send mark; there may be one only."""

    marks: list[dict[str, str]] = field(default_factory=list)
    warnings: list[tuple[str, str]] = field(default_factory=list)
    masker: Masker = field(default_factory=Masker)

    def warn(self, reason: str, message: str, vendor_answer: str) -> None:
        """Notes a warning."""
        self.warnings.append((reason, f"{message}{vendor_answer}"))

    @property
    def evidence(self) -> dict[str, str]:
        """Evidence of the one send mark."""
        (mark,) = self.marks
        return mark


class Connected:
    """One connection of one tenant.

    Args:
        module: The module under test.
        settings: Its connection message.
        pool: The process's connections.
        inventory: The tenant's inventory; None for handlers that do not touch it.
    """

    def __init__(
        self,
        module: IntegrationModule[Any, Any],
        settings: Message,
        pool: HttpPool,
        inventory: Inventory | None = None,
    ) -> None:
        assert module.connect is not None
        self.tenant = str(uuid4())
        self.secrets = secret_values(settings)
        self.told = Told()
        self._inventory = inventory
        self._locks: defaultdict[tuple[str, ...], asyncio.Lock] = defaultdict(asyncio.Lock)
        self.client = module.connect(
            ConnectionScope(
                tenant=self.tenant, connection_id=str(uuid4()), settings=settings, http=pool.client(LOOPBACK)
            )
        )

    async def run(self, handler: Callable[..., Awaitable[M]], request: Message, *, seconds: float = 30.0) -> M:
        """Calls a handler under a deadline and returns its answer; what it told is in `told`."""
        self.told = told = Told()
        scope = self._scope(request, seconds, told)
        context: ActionContext[Any] = ActionContext(
            client=self.client,
            tenant=self.tenant,
            action=handler.__name__,
            execution_id=str(uuid4()),
            idempotency_key=str(uuid4()),
            attempt=1,
            deadline=scope.deadline,
            actor="test",
            log=structlog.get_logger(),
            inventory=self._inventory,  # type: ignore[arg-type] # handlers that need none are given none
            lock=self._hold,
            remember=scope.evidence.update,
            warn=told.warn,
        )
        async with entered(scope):
            return await handler(request, context)

    async def probe(
        self, probe: Callable[..., Awaitable[M | None]], request: Message, evidence: Mapping[str, str]
    ) -> M | None:
        """Calls a probe."""
        scope = self._scope(request, 30.0, Told())
        context: ProbeContext[Any] = ProbeContext(
            client=self.client,
            tenant=self.tenant,
            execution_id=str(uuid4()),
            evidence=evidence,
            deadline=scope.deadline,
            log=structlog.get_logger(),
        )
        async with entered(scope):
            return await probe(request, context)

    async def check(self, module: IntegrationModule[Any, Any]) -> None:
        """Tests the connection."""
        assert module.check is not None
        async with entered(CallScope(Deadline.after(30.0), Masker(self.secrets))):
            await module.check(self.client)

    def _scope(self, request: Message, seconds: float, told: Told) -> CallScope:
        async def mark_sent(evidence: Mapping[str, str]) -> None:
            told.marks.append(dict(evidence))

        told.masker = Masker(self.secrets | secret_values(request))
        return CallScope(deadline=Deadline.after(seconds), masker=told.masker, repeatable=False, mark_sent=mark_sent)

    @asynccontextmanager
    async def _hold(self, *parts: str) -> AsyncIterator[None]:
        async with self._locks[parts]:
            yield
