"""Vendor budgets shared by all replicas: at most so many requests in any window of so many seconds.

Each request takes a slot from a log in PostgreSQL, by PostgreSQL's clock (migration 0005 has the rule). An interactive
caller may reserve a slot in the future and sleeps until it. A bulk caller takes a slot only when one is free now and
a fifth of the window stays free for interactive ones; so interactive callers always go first.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from random import uniform
from time import monotonic
from typing import Final

from server.contract.definitions import BudgetDefinition
from server.sdk.context import Deadline
from server.sdk.failures import ActionFailure
from server.store.database import Database
from server.store.turns import TurnMissedError, Turns

_BULK_SHARE: Final = 0.8
_MARGIN: Final = 0.02  # of the window: requests do not travel equally fast, and the vendor counts when they arrive
_LONGEST_MARGIN: Final = 1.0
_LONGEST_WAIT: Final = 86_400.0
_LONGEST_NAP: Final = 1.0  # a bulk caller looks again at least this often

_TAKE: Final = "SELECT taken, wait FROM patchbay_take_slot($1, $2, $3, $4, $5, $6)"
_PRUNE: Final = """
    WITH idle AS (DELETE FROM vendor_budgets WHERE idle_from < clock_timestamp() RETURNING tenant, budget),
    slots AS (DELETE FROM vendor_budget_slots s USING idle i WHERE s.tenant = i.tenant AND s.budget = i.budget)
    SELECT count(*) FROM idle
"""


class Budgets:
    """The budgets of every connection."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._turns = Turns()

    def gate(
        self,
        tenant: str,
        connection_id: str | None,
        module: str,
        definition: BudgetDefinition,
        scope: str,
        *,
        interactive: bool,
    ) -> "BudgetGate":
        """Returns the gate of one budget for one call.

        Args:
            tenant: Whose budget; tenants never share one.
            connection_id: Whose vendor account, None for modules without a connection.
            module: Id of the module that declares the budget.
            definition: Its declaration.
            scope: What splits the budget further, such as a conversation; stored only as a hash.
            interactive: Whether somebody waits for the call.
        """
        part = sha256(scope.encode("utf-8", "surrogatepass")).hexdigest()[:32] if scope else ""
        budget = f"{module}/{definition.name}/{connection_id or ''}/{part}"
        return BudgetGate(self._database, self._turns, tenant, budget, definition, interactive)

    async def prune(self) -> int:
        """Forgets budgets whose last window is over; returns how many. They begin anew when they are used again."""
        async with self._database.system() as connection:
            return int(await connection.fetchval(_PRUNE))


@dataclass(frozen=True, slots=True)
class BudgetGate:
    """One budget as one call sees it; see `server.sdk.scope.Gate`."""

    _database: Database
    _turns: Turns
    _tenant: str
    _budget: str
    _definition: BudgetDefinition
    _interactive: bool

    async def spend(self, deadline: Deadline) -> float:
        """Waits for a slot and returns the seconds waited; one round trip when one is free.

        Raises:
            ActionFailure: BUDGET_EXHAUSTED with `retry_after`, at once, when no slot comes free before the deadline.
            DatabaseUnavailable: Nobody can say how much of the budget is left.
        """
        began = monotonic()
        if self._interactive:
            taken, wait = await self._take(self._definition.limit, deadline.within(_LONGEST_WAIT))
            if not taken:
                raise self._exhausted(wait)
            await asyncio.sleep(wait)
        else:
            await self._wait_in_line(deadline)
        return monotonic() - began

    async def _wait_in_line(self, deadline: Deadline) -> None:
        try:
            async with self._turns.take(self._tenant, self._budget, deadline):
                await self._take_when_free(deadline)
        except TurnMissedError:
            raise self._exhausted(self._definition.window) from None

    async def _take_when_free(self, deadline: Deadline) -> None:
        share = max(1, int(self._definition.limit * _BULK_SHARE))
        while True:
            taken, wait = await self._take(share, 0.0)
            if taken:
                return
            if wait > deadline.remaining():
                raise self._exhausted(wait)
            nap = min(wait, _LONGEST_NAP)
            await asyncio.sleep(nap + uniform(0.0, nap / 10))  # noqa: S311 - jitter, no secret

    async def _take(self, share: int, patience: float) -> tuple[bool, float]:
        window = self._definition.window
        span = timedelta(seconds=window + min(window * _MARGIN, _LONGEST_MARGIN))
        async with self._database.tenant(self._tenant) as connection:
            row = await connection.fetchrow(
                _TAKE, self._tenant, self._budget, self._definition.limit, share, span, timedelta(seconds=patience)
            )
        assert row is not None  # noqa: S101 - a function with OUT parameters returns one row
        return row["taken"], row["wait"]

    def _exhausted(self, wait: float) -> ActionFailure:
        definition = self._definition
        return ActionFailure(
            "BUDGET_EXHAUSTED",
            f"The vendor allows {definition.limit} requests in {definition.window:g} s (budget `{definition.name}`), "
            "and none comes free before the deadline.",
            retry_after=wait,
        )
