"""A8: the limiter that limits nothing."""

import asyncio
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from server.gen.patchbay.v1 import executor_pb2
from tests.support.served import Served, serving, settings_for

pytestmark = pytest.mark.anyio

LIMIT, WINDOW = 5, timedelta(seconds=1)


async def test_a8_calls_of_all_servers_spend_one_budget(served: Served, tmp_path: Path) -> None:
    """Sixteen calls at two servers of one tenant at once: every slot is given from one row, 5 in any second."""
    owner = await asyncpg.connect(served.fresh.dsn)
    begun = await owner.fetchval("SELECT clock_timestamp()")
    settings = settings_for(served.fresh, tmp_path)
    async with serving(settings, served.lab, served.fresh) as other:
        calls = [
            (served, other)[number % 2].execute("post_budgeted", {"name": f"n{number}"}, f"k{number}")
            for number in range(16)
        ]
        done = await asyncio.gather(*calls)
    budgets = await owner.fetch("SELECT given, last_slot FROM vendor_budgets")
    await owner.close()
    assert {one.state for one in done} == {executor_pb2.EXECUTION_STATE_SUCCEEDED}
    assert [row["given"] for row in budgets] == [16]
    assert budgets[0]["last_slot"] - begun >= WINDOW * (15 // LIMIT)
    assert served.lab.posts() == 16
