"""What the use cases need from the rooms beside them."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from server.contract.definitions import BudgetDefinition
from server.core.decisions import Decide
from server.core.records import Claimed, NewClaim, Origin, Outcome, ReadRecord, Record
from server.sdk.accounts import AccountBook
from server.sdk.alert_book import AlertBook
from server.sdk.context import Deadline, LocalTransaction
from server.sdk.conversations import ConversationBook
from server.sdk.inventory import Inventory
from server.sdk.schedule import ScheduleBook
from server.sdk.scope import Gate


class InvocationStore(Protocol):
    """Claims and outcomes; see server/store/invocations.py."""

    async def claim(self, claim: NewClaim, decide: Decide) -> tuple[Claimed | None, Record | None]:
        """Claims a key, or returns its record."""

    async def mark_sent(self, claimed: Claimed, evidence: Mapping[str, str]) -> datetime | None:
        """Records the send mark and returns its time; None when the claim is lost or cancelled."""

    async def complete(self, claimed: Claimed, outcome: Outcome) -> datetime | None:
        """Records an outcome and returns its time; None when the claim is lost."""

    async def transact(
        self, claimed: Claimed, work: Callable[[LocalTransaction], Awaitable[Outcome]]
    ) -> Outcome | None:
        """Runs local work and records its outcome in one transaction; None when the claim is lost."""

    async def keep_late(self, claimed: Claimed, outcome: Outcome) -> Record | None:
        """Keeps an answer that came after the claim was lost."""

    async def settle(
        self, tenant: str, id: str, outcome: Outcome, resolution: Mapping[str, object], fence: int | None = None
    ) -> bool:
        """Settles an UNKNOWN; False when it is in another state."""

    async def get(self, tenant: str, id: str) -> Record | None:
        """Returns an execution by id."""

    async def find(self, tenant: str, key: str) -> Record | None:
        """Returns an execution by key."""

    async def request_cancel(self, tenant: str, id: str) -> None:
        """Asks whoever runs an execution to stop."""


class UpkeepStore(Protocol):
    """Leases, take-over, probes, reads, lists, retention; see server/store/upkeep.py."""

    async def renew_lease(self, owner: str, seconds: float) -> None:
        """Renews the lease of a process."""

    async def drop_lease(self, owner: str) -> None:
        """Ends the lease of a process."""

    async def bury_leases(self) -> None:
        """Removes leases that cover nothing."""

    async def take_over(
        self, owner: str, running: Collection[str], judge: Callable[[Record], Outcome], limit: int = 100
    ) -> Sequence[Record]:
        """Records what became of executions whose owner is gone."""

    async def to_probe(self, tries: int, limit: int = 20) -> Sequence[Record]:
        """Takes unknown executions whose next probe is due."""

    async def insert_reads(self, reads: Sequence[ReadRecord]) -> None:
        """Records READ executions."""

    async def list(
        self,
        tenant: str,
        *,
        action: str | None,
        state: str | None,
        run_id: str | None,
        before: tuple[datetime, str] | None,
        limit: int,
    ) -> Sequence[Record]:
        """Lists executions, newest first."""

    async def drop_payloads(self, before: datetime, limit: int) -> int:
        """Reduces ended executions to tombstones."""

    async def delete_tombstones(self, before: datetime, effect_classes: Collection[int], limit: int) -> int:
        """Deletes tombstones."""


class Budgets(Protocol):
    """Vendor budgets shared by replicas; see server/store/budgets.py."""

    def gate(
        self,
        tenant: str,
        connection_id: str | None,
        module: str,
        definition: BudgetDefinition,
        scope: str,
        *,
        interactive: bool,
    ) -> Gate:
        """Returns the gate of one budget for one call."""


class Locks(Protocol):
    """Named locks across replicas; see server/store/locks.py."""

    def hold(self, tenant: str, name: str, deadline: Deadline) -> AbstractAsyncContextManager[None]:
        """Holds a lock for the block."""


class Reads(Protocol):
    """Where READ executions are recorded, in batches."""

    async def add(self, item: ReadRecord) -> None:
        """Queues one; waits only when the queue is full."""


class OpenBoard(Protocol):
    """Opens the board of a tenant; see server/store/schedule.py."""

    def __call__(
        self, tenant: str, *, transaction: LocalTransaction | None = None, origin: Origin | None = None
    ) -> ScheduleBook:
        """Returns the board: within the transaction of an execution, or, without one, for reading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """Everything that executing needs from the store."""

    invocations: InvocationStore
    upkeep: UpkeepStore
    budgets: Budgets
    locks: Locks
    reads: Reads
    inventory: Callable[[str, str], Inventory]
    """`inventory(tenant, provider)`."""
    alerts: Callable[[str, str, str], AlertBook]
    """`alerts(tenant, provider, connection_id)`."""
    accounts: Callable[[str], AccountBook]
    """`accounts(tenant)`."""
    conversations: Callable[[str], ConversationBook]
    """`conversations(tenant)`."""
    schedule: OpenBoard
