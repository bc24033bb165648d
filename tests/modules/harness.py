"""Runs a module's handlers and probes as the server does, with real connections, locks and inventory, and no record."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import uuid4

import structlog
from google.protobuf.message import Message

from server.contract.defaults import apply_defaults
from server.contract.secrets import secret_values
from server.gen.patchbay.v1 import options_pb2
from server.sdk import ActionContext, ConnectionScope, Deadline, IntegrationModule, ProbeContext
from server.sdk.http import EgressGrant, HttpPool
from server.sdk.masking import Masker
from server.sdk.scope import CallScope, entered
from server.store.accounts import Accounts
from server.store.alerts import Alerts
from server.store.conversations import Conversations
from server.store.database import Database
from server.store.inventory import Assets
from server.store.locks import Locks
from server.store.schedule import Board

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
        database: Where locks and the inventory are.
        tenant: Id of the tenant.
    """

    def __init__(
        self,
        module: IntegrationModule[Any, Any],
        settings: Message,
        pool: HttpPool,
        database: Database,
        tenant: str,
    ) -> None:
        assert module.connect is not None
        self.tenant = tenant
        self.secrets = secret_values(settings)
        self.told = Told()
        connection_id = str(uuid4())
        self.inventory = Assets(database, tenant, _provider(module))
        self.alerts = Alerts(database, tenant, _provider(module), connection_id)
        self.accounts = Accounts(database, tenant)
        self.conversations = Conversations(database, tenant)
        self.schedule = Board(database, tenant)
        self._locks = Locks(database)
        self.client = module.connect(
            ConnectionScope(
                tenant=self.tenant, connection_id=connection_id, settings=settings, http=pool.client(LOOPBACK)
            )
        )

    async def run(self, handler: Callable[..., Awaitable[M]], request: Message, *, seconds: float = 30.0) -> M:
        """Calls a handler under a deadline and returns its answer; what it told is in `told`."""
        self.told = told = Told()
        apply_defaults(request)
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
            inventory=self.inventory,
            alerts=self.alerts,
            accounts=self.accounts,
            conversations=self.conversations,
            schedule=self.schedule,
            lock=lambda *parts: self._locks.hold(self.tenant, "/".join(parts), scope.deadline),
            remember=scope.evidence.update,
            warn=told.warn,
        )
        async with entered(scope):
            return await handler(request, context)

    async def probe(
        self, probe: Callable[..., Awaitable[M | None]], request: Message, evidence: Mapping[str, str]
    ) -> M | None:
        """Calls a probe."""
        apply_defaults(request)
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


Connect = Callable[..., Connected]
"""Makes a module's connection, with what its tests want to be different."""
Connecting = Callable[[IntegrationModule[Any, Any], Message], Connected]
"""Makes a connection by a module and its settings."""


def _provider(module: IntegrationModule[Any, Any]) -> str:
    return module.contract.GetOptions().Extensions[options_pb2.module].group_key.removeprefix("app:")
