"""A process of its own that spends a budget: `spender.py DSN TENANT LIMIT WINDOW CALLS interactive|bulk`."""

import asyncio
import sys

from server.contract.definitions import BudgetDefinition
from server.sdk.context import Deadline
from server.store.budgets import Budgets
from server.store.database import Database


async def main(dsn: str, tenant: str, limit: str, window: str, calls: str, kind: str) -> None:
    """Spends from several tasks at once and prints `done`."""
    database = await Database.open(dsn, min_size=1, max_size=3)
    definition = BudgetDefinition(name="requests", limit=int(limit), window=float(window), scope_fields=())
    gate = Budgets(database).gate(tenant, None, "vendor", definition, "", interactive=kind == "interactive")

    async def spend(times: int) -> None:
        for _ in range(times):
            await gate.spend(Deadline.after(60))

    await asyncio.gather(*(spend(int(calls) // 4) for _ in range(4)))
    await database.close()
    print("done")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
