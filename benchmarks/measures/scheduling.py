"""Booking technicians, drawing the board, telling others: beside the bare statements that they need."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from statistics import median
from time import perf_counter
from uuid import uuid4

import asyncpg
import grpc

from benchmarks.figures import Figure
from benchmarks.measures.calls import EXECUTE, MANY
from benchmarks.rounds import MeasurementInvalid, Plan
from benchmarks.stage import TENANT, Server, Stage
from server.gen.patchbay.v1 import executor_pb2

_START = datetime(2027, 1, 1, tzinfo=UTC)
_SLOT = timedelta(minutes=15)
_HIRE = """
    WITH role AS (
        INSERT INTO roles (tenant, role_name) VALUES ($1, 'Technician')
        ON CONFLICT (tenant, role_name) DO UPDATE SET role_name = excluded.role_name RETURNING role_id
    ), hired AS (
        INSERT INTO users (tenant, user_id, username, first_name)
        SELECT $1, id, 'bench-' || id, 'Technician' FROM unnest($2::uuid[]) AS id RETURNING user_id
    )
    SELECT user_id, role_id FROM hired, role
"""
_ROLES = (
    "INSERT INTO user_roles (tenant, user_id, role_id) SELECT $1, u, r FROM unnest($2::uuid[], $3::uuid[]) AS t (u, r)"
)
_LOCK = "SELECT FROM users WHERE tenant = $1 AND user_id = $2 FOR NO KEY UPDATE"
_LOOK = """
    SELECT count(*) FROM schedule_entries e JOIN schedule_entry_assignees a USING (tenant, entry_id)
    WHERE e.tenant = $1 AND a.user_id = $2 AND e.scheduled_start < $4 AND e.scheduled_end > $3
"""
_ENTRY = """
    INSERT INTO schedule_entries (tenant, entry_id, title, status, work_item_type, scheduled_start, scheduled_end)
    VALUES ($1, $2, 'Visit', 'scheduled', 'ad_hoc', $3, $4)
"""
_ASSIGN = "INSERT INTO schedule_entry_assignees (tenant, entry_id, user_id) VALUES ($1, $2, $3)"
_EVENT = "INSERT INTO outbox_events (tenant, type, subject, sequence, data) VALUES ($1, 'floor', $2, 1, $3)"

Booking = Callable[[str, datetime], Awaitable[None]]


def booking(stage: Stage, plan: Plan) -> Sequence[Figure]:
    """32 callers book free slots of one technician, who is locked for each, and of fifty."""
    return [asyncio.run(_booked(stage.server, plan, technicians)) for technicians in (1, 50)]


async def hire(server: Server, number: int) -> list[str]:
    """Adds technicians and returns their ids."""
    ids = [str(uuid4()) for _ in range(number)]
    connection = await asyncpg.connect(server.dsn)
    try:
        rows = await connection.fetch(_HIRE, server.tenant_id, ids)
        await connection.execute(_ROLES, server.tenant_id, *zip(*rows, strict=True))
    finally:
        await connection.close()
    return ids


async def _booked(server: Server, plan: Plan, technicians: int) -> Figure:
    rates: dict[str, list[float]] = {"floor": [], "ours": []}
    async with (
        grpc.aio.insecure_channel(server.child.address) as channel,
        asyncpg.create_pool(server.dsn, min_size=10, max_size=10) as pool,
    ):
        contenders = {"floor": _bare(pool, server), "ours": _ours(channel, server)}
        for number in range(plan.rounds + 1):
            order = sorted(contenders, reverse=bool(number % 2))
            for name in order:
                rate = await _burst(contenders[name], await hire(server, technicians), plan.seconds)
                if number:
                    rates[name].append(rate)
    ratios = [ours / floor for ours, floor in zip(rates["ours"], rates["floor"], strict=True)]
    who = "one technician" if technicians == 1 else f"{technicians} technicians"
    return Figure(
        name=f"Booking {who}, {MANY} in flight",
        unit="bookings/s",
        floor=median(rates["floor"]),
        ours=median(rates["ours"]),
        ratio=median(ratios),
        spread=(min(ratios), max(ratios)),
        note="floor: lock, look, entry, assignee and event in one transaction, over asyncpg, without a server",
    )


async def _burst(book: Booking, users: Sequence[str], seconds: float) -> float:
    """Returns bookings per second. Each books the next free slot of the next technician."""
    numbers, done, until = count(), 0, perf_counter() + seconds
    began = perf_counter()

    async def caller() -> None:
        nonlocal done
        while perf_counter() < until:
            number = next(numbers)
            await book(users[number % len(users)], _START + _SLOT * (number // len(users)))
            done += 1

    await asyncio.gather(*(caller() for _ in range(MANY)))
    return done / (perf_counter() - began)


def _bare(pool: "asyncpg.Pool[asyncpg.Record]", server: Server) -> Booking:
    tenant, data = server.tenant_id, json.dumps({"title": "Visit"})

    async def book(user: str, start: datetime) -> None:
        entry, end = str(uuid4()), start + _SLOT
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(_LOCK, tenant, user)
            if await connection.fetchval(_LOOK, tenant, user, start, end):
                raise MeasurementInvalid("a slot was taken")
            await connection.execute(_ENTRY, tenant, entry, start, end)
            await connection.execute(_ASSIGN, tenant, entry, user)
            await connection.execute(_EVENT, tenant, entry, data)

    return book


def _ours(channel: grpc.aio.Channel, server: Server) -> Booking:
    call = channel.unary_unary(EXECUTE)
    metadata = (("authorization", f"Bearer {server.api_key}"),)

    async def book(user: str, start: datetime) -> None:
        request = executor_pb2.ExecuteActionRequest(
            tenant=TENANT, action="scheduling.create_entry", version=1, idempotency_key=str(uuid4())
        )
        window = {"start": start.isoformat(), "end": (start + _SLOT).isoformat()}
        request.input.json.update({"assigned_user_ids": [user], "title": "Visit", "window": window})
        answer = await call(request.SerializeToString(), metadata=metadata)
        execution = executor_pb2.ExecuteActionResponse.FromString(answer).execution
        if execution.state != executor_pb2.EXECUTION_STATE_SUCCEEDED:
            raise MeasurementInvalid(f"not booked: {execution.failure.message}")

    return book
