"""Actions on many agents at once, and the audit trail."""

from collections.abc import Callable
from typing import Any

from sandbox.tacticalrmm.access import may, may_on_agent
from sandbox.tacticalrmm.jobs import CommandJob, ScriptJob
from sandbox.tacticalrmm.models import Agent
from sandbox.tacticalrmm.render import stamp
from sandbox.tacticalrmm.render_detail import CREATED
from sandbox.tacticalrmm.routes.agents import visible
from sandbox.tacticalrmm.routing import Endpoint
from sandbox.tacticalrmm.wire import Answer, Body, Call, Crash, bad, missing, reply, whole
from sandbox.tacticalrmm.world import AuditEntry, World

_SEE_HISTORY = "Check the History tab on the agent to view the results."
_NOBODY = "No agents have been put in maintenance mode. You might not have permissions to the resources."


async def maintenance(call: Call) -> Answer:
    """Maintenance mode of a client's or a site's agents."""
    data, world = call.data(), call.world
    kind, wanted, action = data.need("type"), data.need("id"), data.need("action")
    if kind not in {"Client", "Site"}:
        return bad("Invalid data")
    owner: Callable[[Agent], int] = (
        (lambda agent: world.client_of(agent).id) if kind == "Client" else (lambda agent: agent.site)
    )
    agents = [agent for agent in visible(call) if owner(agent) == wanted]
    for agent in agents:
        agent.maintenance_mode = bool(action)
    word = "enabled" if action else "disabled"
    return reply(f"Maintenance mode has been {word} on {len(agents)} agents" if agents else _NOBODY)


def _targets(call: Call, data: Body) -> list[Agent]:
    agents, target, world = visible(call), data.need("target"), call.world
    if target == "client":
        agents = [agent for agent in agents if world.client_of(agent).id == data.need("client")]
    elif target == "site":
        agents = [agent for agent in agents if agent.site == data.need("site")]
    elif target == "agents":
        agents = [agent for agent in agents if agent.agent_id in data.need("agents")]
    elif target != "all":
        raise Crash
    types = {"servers": "server", "workstations": "workstation"}
    monitored, system = types.get(data.need("monType")), data.get("osType", "all")
    agents = [agent for agent in agents if monitored in {None, agent.monitoring_type}]
    return [agent for agent in agents if system in {"all", agent.plat}]


def _queued(call: Call, agents: list[Agent]) -> list[Agent]:
    return agents if call.world.settings.queue_workers else []


def _script(call: Call, agents: list[Agent], data: Body) -> str:
    script = call.world.scripts.get(whole(data.need("script")))
    if script is None:
        raise missing("Script")
    args, env = [str(one) for one in data.need("args")], [str(one) for one in data.need("env_vars")]
    timeout, run_as_user = whole(data.need("timeout")), bool(data.need("run_as_user"))
    for agent in _queued(call, agents):
        ScriptJob(call, agent, script, args=args, env=env, timeout=timeout, run_as_user=run_as_user).queue()
    return f"{script.name} will now be run on {len(agents)} agents. {_SEE_HISTORY}"


def _command(call: Call, agents: list[Agent], data: Body) -> str:
    text, shell = str(data.need("cmd")), str(data.need("shell"))
    timeout, run_as_user = whole(data.need("timeout")), bool(data.need("run_as_user"))
    for agent in _queued(call, agents):
        CommandJob(call, agent, text, shell=shell, timeout=timeout, run_as_user=run_as_user).queue()
    return f"Command will now be run on {len(agents)} agents. {_SEE_HISTORY}"


def _patch(call: Call, agents: list[Agent], data: Body) -> str:
    mode = data.need("patchMode")
    reached = [agent for agent in _queued(call, agents) if agent.answers and agent.plat == "windows"]
    for agent in reached:
        call.world.effects.record(f"{mode}_updates", agent.agent_id, {})
    return f"Windows updates will now be {mode}ed on {len(agents)} agents"


_MODES = {"script": _script, "command": _command, "patch": _patch}


async def bulk(call: Call) -> Answer:
    """A script, a command or a patch run on every agent that matches."""
    data = call.data()
    agents, mode = _targets(call, data), _MODES.get(data.need("mode"))
    if not agents:
        return bad("No agents were found meeting the selected criteria")
    return bad("Something went wrong") if mode is None else reply(mode(call, agents, data))


def _site(world: World, agent: Agent) -> dict[str, Any]:
    site = world.site_of(agent)
    return {
        "id": site.id,
        "client_name": world.clients[site.client].name,
        **CREATED,
        "name": site.name,
        "block_policy_inheritance": False,
        "failing_checks": {"error": False, "warning": False},
        "client": site.client,
        "workstation_policy": None,
        "server_policy": None,
        "alert_template": None,
    }


def _audit_row(world: World, number: int, entry: AuditEntry) -> dict[str, Any]:
    at, username, action, agent, message, before, after = entry
    return {
        "id": number,
        "entry_time": stamp(at),
        "ip_address": "127.0.0.1",
        "site": _site(world, agent),
        "username": username,
        "agent": agent.hostname,
        "agent_id": agent.agent_id,
        "action": action,
        "object_type": "agent",
        "before_value": before,
        "after_value": after,
        "message": message,
        "debug_info": {"ip": "127.0.0.1"},
    }


async def audit(call: Call) -> Answer:
    """A page of the audit trail; the query is the body of a PATCH."""
    data, world = call.data(), call.world
    paging, actions = data.need("pagination"), data.get("actionFilter")
    rows = [_audit_row(world, number, entry) for number, entry in enumerate(world.audit, 1)]
    rows = [row for row in rows if not actions or row["action"] in actions]
    rows.sort(key=lambda row: row["id"], reverse=bool(paging.get("descending")))
    size = whole(paging.get("rowsPerPage", 50))
    start = (whole(paging.get("page", 1)) - 1) * size
    return reply({"audit_logs": rows[start : start + size], "total": len(rows)})


async def tasks(call: Call) -> Answer:
    """Automated tasks of one agent; this server has none."""
    _ = call.agent
    return reply([])


_POST = "POST, OPTIONS"

ENDPOINTS = [
    Endpoint("agents/maintenance/bulk/", {"POST": maintenance}, may("can_edit_agent"), _POST),
    Endpoint("agents/actions/bulk/", {"POST": bulk}, may("can_run_bulk"), _POST),
    Endpoint(
        "agents/{agent_id}/tasks/",
        {"GET": tasks},
        may_on_agent("can_list_autotasks"),
        "GET, POST, HEAD, OPTIONS",
    ),
    Endpoint("logs/audit/", {"PATCH": audit}, may("can_view_auditlogs"), "PATCH, OPTIONS"),
]
