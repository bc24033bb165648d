"""The board of 200 technicians on seven days, beside the two statements that fetch what is on it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from statistics import median
from time import perf_counter

import asyncpg
import grpc

from benchmarks.figures import Figure
from benchmarks.measures.scheduling import hire
from benchmarks.rounds import MeasurementInvalid, Plan
from benchmarks.stage import TENANT, Server, Stage
from server.gen.patchbay.v1 import dispatch_pb2

_GET_BOARD = "/patchbay.v1.Dispatch/GetBoard"
_TECHNICIANS, _DAYS = 200, 7
_MONDAY = datetime(2031, 3, 3, tzinfo=UTC)
_BOOK = """
    WITH made AS (
        INSERT INTO schedule_entries (tenant, title, status, work_item_type, scheduled_start, scheduled_end)
        SELECT $1, 'Visit ' || n, 'scheduled', 'ad_hoc', s, s + interval '150 min'
        FROM generate_series(0, $4 - 1) n,
            LATERAL (SELECT $3::timestamptz + n / cardinality($2::uuid[]) * interval '3 h') t (s)
        RETURNING entry_id, title
    )
    INSERT INTO schedule_entry_assignees (tenant, entry_id, user_id)
    SELECT $1, entry_id, ($2::uuid[])[substr(title, 7)::int % cardinality($2::uuid[]) + 1] FROM made
"""
_USERS = "SELECT user_id, username, first_name, last_name, timezone FROM users WHERE tenant = $1 AND user_id = ANY ($2)"
_ENTRIES = """
    SELECT e.*, a.user_id FROM schedule_entries e JOIN schedule_entry_assignees a USING (tenant, entry_id)
    WHERE e.tenant = $1 AND a.user_id = ANY ($2::uuid[]) AND e.scheduled_start < $4 AND e.scheduled_end > $3
"""

Look = Callable[[], Awaitable[int]]


def measure(stage: Stage, plan: Plan, entries: int) -> Sequence[Figure]:
    """One caller looks at the whole board again and again. `entries`: how many are on it, at most 11,200."""
    return [asyncio.run(_looked(stage.server, plan, entries))]


async def _looked(server: Server, plan: Plan, entries: int) -> Figure:
    users = await hire(server, _TECHNICIANS)
    async with (
        grpc.aio.insecure_channel(server.child.address) as channel,
        asyncpg.create_pool(server.dsn, min_size=1, max_size=1) as pool,
    ):
        await pool.execute(_BOOK, server.tenant_id, users, _MONDAY, entries)
        await pool.execute("ANALYZE schedule_entries, schedule_entry_assignees")
        contenders = {"floor": _bare(pool, server, users), "ours": _ours(channel, server, users)}
        times: dict[str, list[float]] = {"floor": [], "ours": []}
        for number in range(plan.rounds + 1):
            for name in sorted(contenders, reverse=bool(number % 2)):
                took = await _time(contenders[name], entries, plan.seconds)
                if number:
                    times[name].append(took)
    ratios = [ours / floor for ours, floor in zip(times["ours"], times["floor"], strict=True)]
    return Figure(
        name=f"Board of {_TECHNICIANS} technicians and {_DAYS} days with {entries:,} entries",
        unit="ms",
        floor=median(times["floor"]),
        ours=median(times["ours"]),
        ratio=median(ratios),
        spread=(min(ratios), max(ratios)),
        added=median(times["ours"]) - median(times["floor"]),
        better="lower",
        note="floor: users and entries fetched over asyncpg, without a server, and thrown away",
    )


async def _time(look: Look, entries: int, seconds: float) -> float:
    """Returns the median time of a look, in milliseconds."""
    times, until = list[float](), perf_counter() + seconds
    while not times or perf_counter() < until:
        began = perf_counter()
        seen = await look()
        times.append((perf_counter() - began) * 1000)
        if seen != entries:
            raise MeasurementInvalid(f"{seen} of {entries} entries were seen")
    return median(times)


def _bare(pool: "asyncpg.Pool[asyncpg.Record]", server: Server, users: Sequence[str]) -> Look:
    async def look() -> int:
        await pool.fetch(_USERS, server.tenant_id, users)
        end = _MONDAY + timedelta(days=_DAYS)
        return len(await pool.fetch(_ENTRIES, server.tenant_id, users, _MONDAY, end))

    return look


def _ours(channel: grpc.aio.Channel, server: Server, users: Sequence[str]) -> Look:
    call = channel.unary_unary(_GET_BOARD)
    metadata = (("authorization", f"Bearer {server.api_key}"),)
    request = dispatch_pb2.GetBoardRequest(
        tenant=TENANT, first_day=_MONDAY.date().isoformat(), days=_DAYS, user_ids=users
    ).SerializeToString()

    async def look() -> int:
        answer = dispatch_pb2.GetBoardResponse.FromString(await call(request, metadata=metadata))
        return len({bar.entry_id for one in answer.technicians for day in one.days for bar in day.entries})

    return look
