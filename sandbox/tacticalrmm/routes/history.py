"""What was sent to agents and what came back."""

from datetime import date, timedelta
from typing import Any

from sandbox.tacticalrmm.access import in_scope, may, may_on_agent
from sandbox.tacticalrmm.models import HistoryRow
from sandbox.tacticalrmm.render import history_row
from sandbox.tacticalrmm.routing import Endpoint
from sandbox.tacticalrmm.wire import Answer, Call, Crash, reply, whole


async def agent_history(call: Call) -> Answer:
    """All kept rows of one agent, not paged."""
    return reply([history_row(row) for row in call.world.history[call.agent.id]])


async def all_history(call: Call) -> Answer:
    """Rows of every agent the caller may see."""
    rows = [
        row for agent in call.world.agents.values() if in_scope(call, agent) for row in call.world.history[agent.id]
    ]
    return reply([history_row(row) for row in sorted(rows, key=lambda row: row.id)])


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Crash from None


def _within(rows: list[HistoryRow], query: dict[str, str]) -> list[HistoryRow]:
    if "start" not in query or "end" not in query:
        return rows
    start, end = _day(query["start"]), _day(query["end"]) + timedelta(days=1)
    return [row for row in rows if start <= row.time.date() < end]


def _script_row(call: Call, row: HistoryRow) -> dict[str, Any]:
    shown = history_row(row)
    agent = call.world.agent_by_pk(row.agent)
    kept = {
        name: shown[name] for name in ("id", "time", "username", "script", "script_results", "agent", "script_name")
    }
    return {**kept, "agent_id": agent.agent_id if agent else None}


async def script_history(call: Call) -> Answer:
    """Script runs of all agents, newest first, whatever the caller's scope."""
    query = call.query
    rows = [row for rows in call.world.history.values() for row in rows if row.type == "script_run"]
    if "scriptname" in query:
        rows = [row for row in rows if row.script_name == query["scriptname"]]
    rows = sorted(_within(rows, query), key=lambda row: row.id, reverse=True)
    return reply([_script_row(call, row) for row in rows[: whole(query.get("limit", 50))]])


_ALLOW = "GET, HEAD, OPTIONS"
_ALL = may("can_list_agent_history")

ENDPOINTS = [
    Endpoint("agents/history/", {"GET": all_history}, _ALL, _ALLOW),
    Endpoint("agents/scripthistory/", {"GET": script_history}, _ALL, _ALLOW),
    Endpoint("agents/{agent_id}/history/", {"GET": agent_history}, may_on_agent("can_list_agent_history"), _ALLOW),
]
