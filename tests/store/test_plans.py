"""How PostgreSQL finds rows: what stands on the path of every call must not read other rows."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from server.store import invocation_rows, invocations
from server.store.database import Database

pytestmark = pytest.mark.anyio

TENANT, ID, OWNER = (str(uuid4()) for _ in range(3))
OUTCOME = ("SUCCEEDED", "{}", None, None, False, 0.0, None)


async def explained(database: Database, sql: str, arguments: Sequence[Any]) -> str:
    """Returns the plan that is kept for any parameters."""
    async with database.tenant(TENANT) as connection:
        await connection.execute("SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off")
        statement = await connection.prepare(sql)
        plan = str(await statement.explain(*arguments))
        await connection.execute("RESET plan_cache_mode; RESET enable_seqscan")
    return plan


@pytest.mark.parametrize(
    ("sql", "arguments"),
    [
        (invocations.COMPLETE, (TENANT, ID, OWNER, 1, *OUTCOME)),
        (invocations.MARK_SENT, (TENANT, ID, OWNER, 1, "{}")),
        (invocation_rows.LOCK_OURS, (TENANT, ID, OWNER, 1)),
    ],
    ids=["complete", "mark", "lock"],
)
async def test_a_running_execution_is_found_by_its_id(database: Database, sql: str, arguments: Sequence[Any]) -> None:
    """Not by its owner, who runs many: the index of what runs is for the sweeper alone."""
    plan = await explained(database, sql, arguments)
    assert "invocations_open" not in plan
    assert "invocation_id" in plan.split("Index Cond")[1].splitlines()[0]


async def test_a_sweeper_finds_what_runs_without_reading_what_ended(database: Database) -> None:
    """The executions of owners that are gone come from the index of what runs."""
    assert "invocations_open" in await explained(database, invocation_rows.ABANDONED, (OWNER, [ID], 10))


async def test_what_runs_is_what_has_not_ended(database: Database) -> None:
    """The sweeper looks for rows without an end, so the database refuses a running row that has one."""
    insert = """INSERT INTO workflow_action_invocations (
        tenant, invocation_id, action_id, action_version, effect_class, status, caller, completed_at)
        VALUES ($1, $2, 'a', 1, 1, $3, 'c', $4)"""
    for status, ended in (("RUNNING", datetime.now(UTC)), ("SUCCEEDED", None)):
        async with database.tenant(TENANT) as connection:
            with pytest.raises(asyncpg.CheckViolationError, match="invocations_running_is_open"):
                await connection.execute(insert, TENANT, ID, status, ended)
