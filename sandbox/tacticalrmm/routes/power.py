"""Reboot, shutdown, and what waits to be done later."""

import random
import string
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sandbox.tacticalrmm.access import may, may_on_agent
from sandbox.tacticalrmm.bus import Bus
from sandbox.tacticalrmm.models import Agent
from sandbox.tacticalrmm.render import stamp
from sandbox.tacticalrmm.routes.run import UNREACHABLE
from sandbox.tacticalrmm.routing import Endpoint
from sandbox.tacticalrmm.wire import Answer, Call, bad, missing, reply

_WAIT_SECONDS = 10.0
_FORMAT = "%Y-%m-%dT%H:%M"


def _now(agent: Agent) -> datetime:
    return datetime.now(ZoneInfo(agent.time_zone)).replace(tzinfo=None)


async def _power(call: Call, kind: str) -> str | None:
    agent = call.agent

    def started() -> None:
        call.world.effects.record(kind, agent.agent_id, {"hostname": agent.hostname, "username": call.username})

    def ended() -> None:
        agent.needs_reboot = False
        agent.boot_time = float(int(datetime.now().astimezone().timestamp()))

    return await Bus(call.world).ask(agent, _WAIT_SECONDS, started=started, ended=ended)


async def reboot_now(call: Call) -> Answer:
    """Restart at once. Nothing stops a second call from restarting again."""
    return bad(UNREACHABLE) if await _power(call, "reboot") else reply("ok")


async def shutdown(call: Call) -> Answer:
    """Power off."""
    return bad(UNREACHABLE) if await _power(call, "shutdown") else reply("ok")


def _due(agent: Agent, given: Any) -> datetime | str:
    try:
        due = datetime.strptime(str(given), _FORMAT)  # noqa: DTZ007 # wall-clock of the agent's zone, as the vendor wants
    except ValueError:
        return "Invalid date"
    return "Date cannot be set in the past" if due < _now(agent) else due


async def reboot_later(call: Call) -> Answer:
    """Let Windows restart at a wall-clock time of the agent's zone."""
    agent = call.agent
    if agent.plat != "windows":
        return bad(f"Not currently implemented for {agent.plat}")
    due = _due(agent, call.data().get("datetime"))
    if isinstance(due, str):
        return bad(due)
    task = "TacticalRMM_SchedReboot_" + "".join(random.choices(string.ascii_letters, k=10))  # noqa: S311 # not a secret
    effects = call.world.effects

    def started() -> None:
        effects.record("schedule_reboot", agent.agent_id, {"due": due.strftime(_FORMAT), "task_name": task})

    failure = await Bus(call.world).ask(agent, _WAIT_SECONDS, started=started, ended=lambda: None)
    if failure is not None:
        return bad(failure)
    _remember(call, agent, due, task)
    shown = due.strftime("%B %d, %Y at %I:%M %p")
    return reply({"time": shown, "agent": agent.hostname, "task_name": task})


def _remember(call: Call, agent: Agent, due: datetime, task: str) -> None:
    world, when = call.world, due.strftime("%Y-%m-%d %H:%M:%S")
    row_id = next(world.ids["pending"])
    world.pending[row_id] = {
        "id": row_id,
        "hostname": agent.hostname,
        "client": world.client_of(agent).name,
        "site": world.site_of(agent).name,
        "due": when,
        "description": "Device pending reboot",
        "entry_time": stamp(datetime.now().astimezone()),
        "action_type": "schedreboot",
        "status": "pending",
        "details": {"time": when, "taskname": task},
        "agent": agent.id,
    }


async def pending_actions(call: Call) -> Answer:
    """What waits for one agent."""
    wanted = call.agent.id
    return reply([row for row in call.world.pending.values() if row["agent"] == wanted])


async def cancel_pending(call: Call) -> Answer:
    """Cancel a scheduled restart."""
    world, row_id = call.world, int(call.params["pk"])
    row = world.pending.get(row_id)
    agent = None if row is None else world.agent_by_pk(row["agent"])
    if row is None or agent is None:
        raise missing("PendingAction")
    failure = await Bus(world).request(agent, _WAIT_SECONDS)
    if failure is not None:
        return bad(UNREACHABLE)
    del world.pending[row_id]
    world.effects.record("cancel_reboot", agent.agent_id, {"task_name": row["details"]["taskname"]})
    return reply(f"{agent.hostname}: {row['description']} was cancelled")


_MANAGE = may("can_manage_pendingactions")
_REBOOT = may_on_agent("can_reboot_agents")

ENDPOINTS = [
    Endpoint(
        "agents/{agent_id}/reboot/",
        {"POST": reboot_now, "PATCH": reboot_later},
        _REBOOT,
        "POST, PATCH, OPTIONS",
        "Reboot",
    ),
    Endpoint("agents/{agent_id}/shutdown/", {"POST": shutdown}, _REBOOT, "POST, OPTIONS", "Shutdown"),
    Endpoint(
        "agents/{agent_id}/pendingactions/",
        {"GET": pending_actions},
        may_on_agent("can_list_pendingactions"),
        "GET, DELETE, HEAD, OPTIONS",
    ),
    Endpoint("logs/pendingactions/{pk:int}/", {"DELETE": cancel_pending}, _MANAGE, "GET, DELETE, HEAD, OPTIONS"),
]
