"""A tenant with technicians, a ticket and a board."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from google.protobuf.json_format import MessageToDict

from server.gen.patchbay.v1 import executor_pb2
from tests.support.served import TENANT, Caller

MONDAY = datetime(2027, 3, 1, 9, 0, tzinfo=UTC)
TICKET = str(UUID(int=0x71C7))
TASK = str(UUID(int=0x7A5C))


def at(hours: float, day: int = 0) -> str:
    """Returns a time: hours after nine on the Monday, or on a day after it."""
    return (MONDAY + timedelta(days=day, hours=hours)).isoformat()


def window(start: float, end: float, day: int = 0, **more: str) -> dict[str, Any]:
    """Returns a window in hours after nine on the Monday, or on a day after it."""
    return {"start": at(start, day), "end": at(end, day), **more}


@dataclass
class Office:
    """One tenant's people and board, seen from outside (`caller`) and in the database (`owner`)."""

    caller: Caller
    owner: asyncpg.Connection
    tenant: str

    async def hire(self, name: str, *, roles: Sequence[str] = ("Technician",), **columns: Any) -> str:
        """Adds a user and returns the id."""
        id = str(uuid4())
        columns = {"username": f"{name}-{id[:8]}", "first_name": name, **columns}
        names = ", ".join(columns)
        places = ", ".join(f"${index + 3}" for index in range(len(columns)))
        await self.owner.execute(
            f"INSERT INTO users (tenant, user_id, {names}) VALUES ($1, $2, {places})",
            self.tenant,
            id,
            *columns.values(),
        )
        for role in roles:
            await self.owner.execute(
                "INSERT INTO roles (tenant, role_name) VALUES ($1, $2) ON CONFLICT DO NOTHING", self.tenant, role
            )
            await self.owner.execute(
                "INSERT INTO user_roles (tenant, user_id, role_id) "
                "SELECT tenant, $2, role_id FROM roles WHERE tenant = $1 AND role_name = $3",
                self.tenant,
                id,
                role,
            )
        return id

    async def open_work(self) -> None:
        """Adds a ticket and a project task."""
        await self.owner.execute(
            "INSERT INTO tickets (tenant, ticket_id, ticket_number) VALUES ($1, $2, 'T-1')", self.tenant, TICKET
        )
        await self.owner.execute(
            "INSERT INTO project_tasks (tenant, task_id, task_name) VALUES ($1, $2, 'Rollout')", self.tenant, TASK
        )

    async def run(
        self, action: str, input: dict[str, Any], key: str | None = None, **more: Any
    ) -> executor_pb2.Execution:
        """Executes an action of the family."""
        return await self.caller.execute(f"scheduling.{action}", input, key or str(uuid4()), **more)

    async def done(self, action: str, input: dict[str, Any], key: str | None = None, **more: Any) -> dict[str, Any]:
        """Executes an action that is to succeed and returns its output."""
        execution = await self.run(action, input, key, **more)
        assert execution.state == executor_pb2.EXECUTION_STATE_SUCCEEDED, execution.failure
        return plain(execution)

    async def failed(self, action: str, input: dict[str, Any], **more: Any) -> Any:
        """Executes an action that is to fail and returns the failure."""
        execution = await self.run(action, input, **more)
        assert execution.state == executor_pb2.EXECUTION_STATE_FAILED, execution
        return execution.failure

    async def book(self, *users: str, start: float = 0, end: float = 1, day: int = 0, **more: Any) -> dict[str, Any]:
        """Books users."""
        wanted = {"assigned_user_ids": list(users), "title": "Visit", "window": window(start, end, day), **more}
        return await self.done("create_entry", wanted)

    async def count(self, table: str) -> int:
        """Returns the rows of a table."""
        return int(await self.owner.fetchval(f"SELECT count(*) FROM {table}"))

    async def events(self) -> list[tuple[str, str, int]]:
        """Returns type, subject and number of all events, by number."""
        rows = await self.owner.fetch(
            "SELECT type, subject::text, sequence FROM outbox_events ORDER BY sequence, created_at"
        )
        return [(row["type"], row["subject"], row["sequence"]) for row in rows]


@asynccontextmanager
async def opened(caller: Caller, dsn: str, slug: str = TENANT) -> AsyncIterator[Office]:
    """Opens an office for a tenant that there is. `dsn`: that of the database's owner."""
    owner = await asyncpg.connect(dsn)
    try:
        tenant = str(await owner.fetchval("SELECT tenant FROM tenants WHERE slug = $1", slug))
        await owner.execute("SELECT set_config('patchbay.tenant', '*', false)")
        made = Office(caller, owner, tenant)
        await made.open_work()
        yield made
    finally:
        await owner.close()


def plain(execution: executor_pb2.Execution) -> dict[str, Any]:
    """Returns an execution's output."""
    output: dict[str, Any] = MessageToDict(execution.output.json)
    return output
