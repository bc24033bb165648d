"""Vendor budgets: never more than the vendor allows, in any window, over all processes."""

import asyncio
import sys
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

import pytest

from server.contract.definitions import BudgetDefinition
from server.sdk.context import Deadline
from server.sdk.failures import ActionFailure, Effect
from server.store.budgets import BudgetGate, Budgets
from server.store.database import Database
from tests.support.postgres import Fresh, statement

pytestmark = pytest.mark.anyio

TENANT = str(uuid4())
LONG = 3600.0  # a window that no test lives to see the end of


def _definition(limit: int, window: float = LONG, name: str = "requests") -> BudgetDefinition:
    return BudgetDefinition(name=name, limit=limit, window=window, scope_fields=())


def _gate(
    database: Database,
    definition: BudgetDefinition,
    *,
    interactive: bool = True,
    tenant: str = TENANT,
    connection: str | None = None,
    scope: str = "",
    budgets: Budgets | None = None,
) -> BudgetGate:
    shared = budgets or Budgets(database)
    return shared.gate(tenant, connection, "vendor", definition, scope, interactive=interactive)


async def _slots(database: Database) -> list[datetime]:
    async with database.system() as connection:
        rows = await connection.fetch("SELECT slot FROM vendor_budget_slots ORDER BY number")
    return [row["slot"] for row in rows]


async def _keep_slots(database: Database, fresh: Fresh) -> None:
    """Keeps every slot that is ever given in a table of the test's own."""
    await statement(
        fresh.dsn,
        """
        CREATE TABLE given (slot timestamptz);
        GRANT INSERT, SELECT ON given TO patchbay_app;
        CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN INSERT INTO given VALUES (NEW.slot); RETURN NULL; END $$;
        CREATE TRIGGER keep AFTER INSERT ON vendor_budget_slots FOR EACH ROW EXECUTE FUNCTION keep();
        """,
    )


def _fullest(slots: list[datetime], window: float) -> int:
    """Returns the most slots that any window of that length holds."""
    span = timedelta(seconds=window)
    return max(sum(begin <= slot <= begin + span for slot in slots) for begin in slots)


@pytest.mark.parametrize("kinds", [("interactive",) * 3, ("interactive", "bulk", "bulk")])
async def test_processes_together_stay_within_the_limit(
    database: Database, fresh: Fresh, kinds: tuple[str, ...]
) -> None:
    """Three processes spending as fast as they can never bring any window above the limit."""
    limit, window, calls = 12, 0.4, 24
    await _keep_slots(database, fresh)
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.store.spender"),
            *(fresh.app_dsn, TENANT, str(limit), str(window), str(calls), kind),
            stdout=asyncio.subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        for kind in kinds
    ]
    answers = [(await process.communicate())[0] for process in processes]
    assert answers == [b"done\n"] * 3
    async with database.system() as connection:
        slots = [row["slot"] for row in await connection.fetch("SELECT slot FROM given ORDER BY slot")]
    assert len(slots) == 3 * calls
    assert _fullest(slots, window) <= limit
    assert len(await _slots(database)) <= limit


async def test_a_free_slot_costs_no_wait(database: Database) -> None:
    """Within the limit callers go through; beyond it the answer is at once, with the time to come back."""
    gate = _gate(database, _definition(limit=3))
    for _ in range(3):
        await gate.spend(Deadline.after(1))
    with pytest.raises(ActionFailure) as caught:
        await gate.spend(Deadline.after(30))
    failure = caught.value.failure
    assert (failure.reason, failure.effect, failure.retryable) == ("BUDGET_EXHAUSTED", Effect.EFFECT_NONE, True)
    assert LONG - 60 < failure.retry_after.ToSeconds() <= LONG + 1
    assert len(await _slots(database)) == 3


async def test_a_refusal_takes_no_slot(database: Database) -> None:
    """Callers that were refused do not push the next free slot further away."""
    gate = _gate(database, _definition(limit=1))
    await gate.spend(Deadline.after(1))
    waits = []
    for _ in range(5):
        with pytest.raises(ActionFailure) as caught:
            await gate.spend(Deadline.after(0))
        waits.append(caught.value.failure.retry_after.ToMilliseconds())
    assert waits == sorted(waits, reverse=True)


async def test_an_interactive_caller_reserves_and_sleeps(database: Database, fresh: Fresh) -> None:
    """Beyond the limit a caller gets a slot in the future, and is told how long it waited for it."""
    await _keep_slots(database, fresh)
    gate = _gate(database, _definition(limit=1, window=0.5))
    waits = await asyncio.gather(*(gate.spend(Deadline.after(30)) for _ in range(4)))
    async with database.system() as connection:
        slots = [row["slot"] for row in await connection.fetch("SELECT slot FROM given ORDER BY slot")]
    gaps = [later - earlier for earlier, later in pairwise(slots)]
    assert len(gaps) == 3
    assert min(gaps) >= timedelta(seconds=0.5)
    assert max(waits) >= 1.0  # it came at most half a second after the first
    assert len(await _slots(database)) == 1


async def test_bulk_leaves_a_fifth_to_interactive(database: Database) -> None:
    """Bulk callers stop at 80 % of the limit; interactive ones get the rest."""
    budgets, definition = Budgets(database), _definition(limit=10)
    bulk = _gate(database, definition, interactive=False, budgets=budgets)
    for _ in range(8):
        await bulk.spend(Deadline.after(1))
    with pytest.raises(ActionFailure, match="BUDGET_EXHAUSTED"):
        await bulk.spend(Deadline.after(1))
    interactive = _gate(database, definition, budgets=budgets)
    for _ in range(2):
        await interactive.spend(Deadline.after(1))
    with pytest.raises(ActionFailure, match="BUDGET_EXHAUSTED"):
        await interactive.spend(Deadline.after(1))


async def test_interactive_goes_before_bulk_that_waited_longer(database: Database) -> None:
    """An interactive caller that comes later takes the next slot; waiting bulk callers hold no reservation."""
    budgets, definition, order = Budgets(database), _definition(limit=1, window=1.0), list[str]()

    async def spend(name: str, *, interactive: bool) -> None:
        await _gate(database, definition, interactive=interactive, budgets=budgets).spend(Deadline.after(60))
        order.append(name)

    await spend("first", interactive=True)
    bulk = asyncio.create_task(spend("bulk", interactive=False))
    await asyncio.sleep(0.02)
    await asyncio.gather(spend("person", interactive=True), bulk)
    assert order == ["first", "person", "bulk"]


async def test_waiting_bulk_callers_give_up_at_their_deadline(database: Database) -> None:
    """A caller behind others in the queue is refused when its own deadline comes, with advice."""
    budgets, definition = Budgets(database), _definition(limit=1, window=30)
    gate = _gate(database, definition, interactive=False, budgets=budgets)
    await gate.spend(Deadline.after(1))
    first = asyncio.create_task(gate.spend(Deadline.after(300)))
    await asyncio.sleep(0.05)
    with pytest.raises(ActionFailure) as caught:
        await gate.spend(Deadline.after(0.05))
    assert caught.value.failure.reason == "BUDGET_EXHAUSTED"
    assert caught.value.failure.retry_after.ToSeconds() == 30
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_budgets_are_split_by_everything_that_names_them(database: Database) -> None:
    """Tenants, connections, budgets and scopes do not spend each other's slots; equal ones do."""
    definition = _definition(limit=1)
    gates = [
        _gate(database, definition),
        _gate(database, definition, tenant=str(uuid4())),
        _gate(database, definition, connection=str(uuid4())),
        _gate(database, _definition(limit=1, name="other")),
        _gate(database, definition, scope="conversation 1"),
        _gate(database, definition, scope="conversation 2"),
    ]
    for gate in gates:
        await gate.spend(Deadline.after(1))
    for gate in gates:
        with pytest.raises(ActionFailure, match="BUDGET_EXHAUSTED"):
            await gate.spend(Deadline.after(0))
    async with database.system() as connection:
        names = await connection.fetch("SELECT budget FROM vendor_budgets")
    assert not any("conversation" in row["budget"] for row in names)


async def test_replicas_with_different_limits_keep_the_smaller_history_safe(database: Database) -> None:
    """After a replica with a small limit removed old slots, one with a larger limit errs on the slow side only."""
    small, large = _gate(database, _definition(limit=2)), _gate(database, _definition(limit=5))
    await small.spend(Deadline.after(1))
    await small.spend(Deadline.after(1))
    for _ in range(3):
        await large.spend(Deadline.after(1))
    for gate in (small, large):
        with pytest.raises(ActionFailure, match="BUDGET_EXHAUSTED"):
            await gate.spend(Deadline.after(1))
    assert len(await _slots(database)) == 5


async def test_idle_budgets_are_forgotten_and_busy_ones_kept(database: Database) -> None:
    """Pruning removes only what can no longer hold anybody back."""
    busy, idle = _gate(database, _definition(limit=1)), _gate(database, _definition(limit=1, window=0.01, name="idle"))
    await busy.spend(Deadline.after(1))
    await idle.spend(Deadline.after(1))
    await asyncio.sleep(0.05)
    assert await Budgets(database).prune() == 1
    assert len(await _slots(database)) == 1
    await idle.spend(Deadline.after(0))
    with pytest.raises(ActionFailure, match="BUDGET_EXHAUSTED"):
        await busy.spend(Deadline.after(0))
