"""Agents: list, detail, edit, reachability, versions, notes."""

from datetime import UTC, datetime
from typing import Any

from sandbox.control import StateError
from sandbox.control.records import checked
from sandbox.tacticalrmm.access import in_scope, may, may_on_agent
from sandbox.tacticalrmm.bus import Bus
from sandbox.tacticalrmm.models import Agent
from sandbox.tacticalrmm.render import agent_row, agent_short
from sandbox.tacticalrmm.render_detail import agent_detail
from sandbox.tacticalrmm.routing import Endpoint
from sandbox.tacticalrmm.wire import Answer, Call, Refused, bad, missing, reply, whole

_PING_SECONDS = 7.5
_PLAIN = (str, int)
_FLAGS: dict[Any, bool] = {1: True, 0: False, "true": True, "false": False, "1": True, "0": False}
_BOOLEANS = (
    "maintenance_mode",
    "block_policy_inheritance",
    "overdue_email_alert",
    "overdue_text_alert",
    "overdue_dashboard_alert",
)
_EDITABLE = frozenset(
    (
        *_BOOLEANS,
        "policy",
        "monitoring_type",
        "description",
        "offline_time",
        "overdue_time",
        "check_interval",
        "time_zone",
        "site",
        "default_shell",
        "default_shell_custom",
    )
)


def visible(call: Call) -> list[Agent]:
    """Agents within the caller's scope."""
    return [agent for agent in call.world.agents.values() if in_scope(call, agent)]


def _filtered(call: Call) -> list[Agent]:
    query, agents = call.query, visible(call)
    if "site" in query:
        site = whole(query["site"])
        return [agent for agent in agents if agent.site == site]
    if "client" in query:
        client = whole(query["client"])
        return [agent for agent in agents if call.world.client_of(agent).id == client]
    wanted = query.get("monitoring_type")
    return [agent for agent in agents if wanted in {None, agent.monitoring_type}]


async def list_agents(call: Call) -> Answer:
    """Bare array of full or short rows."""
    if call.query.get("monitoring_type", "server") not in {"server", "workstation"}:
        return bad("monitoring type does not exist")
    row = agent_row if call.query.get("detail", "true") == "true" else agent_short
    return reply([row(call.world, agent) for agent in _filtered(call)])


async def get_agent(call: Call) -> Answer:
    """Everything about one agent."""
    return reply(agent_detail(call.world, call.agent))


def _flag(value: Any) -> Any:
    """Booleans as the server reads them from JSON and from forms; anything else stays what it is."""
    return _FLAGS.get(value.lower() if isinstance(value, str) else value, value) if isinstance(value, _PLAIN) else value


def _checked(call: Call, name: str, value: Any) -> Any:
    """The value to store; raises the 400 that names the field."""
    if name in _BOOLEANS:
        value = _flag(value)
    if name == "site" and value not in call.world.sites:
        raise Refused(bad({name: [f'Invalid pk "{value}" - object does not exist.']}))
    try:
        return checked(Agent, {name: value})[name]
    except StateError:
        reason = "Must be a valid boolean." if name in _BOOLEANS else f'"{value}" is not a valid choice.'
        raise Refused(bad({name: [reason]})) from None


async def edit_agent(call: Call) -> Answer:
    """Set any of the editable fields; unknown ones are ignored."""
    agent, data = call.agent, call.data()
    changes = {name: _checked(call, name, value) for name, value in data.items() if name in _EDITABLE}
    for name, value in changes.items():
        setattr(agent, name, value)
    if changes:
        call.world.effects.record("edit_agent", agent.agent_id, changes)
    return reply("The agent was updated successfully")


async def delete_agent(call: Call) -> Answer:
    """Remove the agent from the server."""
    agent = call.agent
    del call.world.agents[agent.agent_id]
    call.world.effects.record("delete_agent", agent.agent_id, {"hostname": agent.hostname})
    return reply(f"{agent.hostname} will now be uninstalled.")


async def ping(call: Call) -> Answer:
    """Three tries to reach the agent."""
    agent = call.agent
    failure = await Bus(call.world).request(agent, _PING_SECONDS)
    return reply({"name": agent.hostname, "status": "offline" if failure else "online"})


async def versions(call: Call) -> Answer:
    """Agent versions and the agents."""
    known = sorted({agent.version for agent in call.world.agents.values()})
    agents = sorted(visible(call), key=lambda agent: agent.hostname)
    return reply({"versions": known, "agents": [agent_short(call.world, agent) for agent in agents]})


def add_note(call: Call, agent: Agent, text: str) -> None:
    """Store a note under the caller's name."""
    note: dict[str, Any] = {
        "pk": next(call.world.ids["note"]),
        "entry_time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "note": text,
        "username": call.username,
        "agent_id": agent.agent_id,
    }
    call.world.notes.append(note)


async def post_note(call: Call) -> Answer:
    """Add a note to the agent named in the body."""
    data = call.data()
    agent = call.world.agents.get(data.need("agent_id"))
    if agent is None:
        raise missing("Agent")
    add_note(call, agent, data.need("note"))
    return reply("Note added!")


async def all_notes(call: Call) -> Answer:
    """Notes of every agent."""
    return reply(call.world.notes)


async def agent_notes(call: Call) -> Answer:
    """Notes of one agent."""
    wanted = call.agent.agent_id
    return reply([note for note in call.world.notes if note["agent_id"] == wanted])


_READ, _EDIT = may_on_agent("can_list_agents"), may_on_agent("can_edit_agent")
_NOTES = {"GET": may("can_list_notes"), "POST": may("can_manage_notes")}

ENDPOINTS = [
    Endpoint("agents/", {"GET": list_agents}, may("can_list_agents"), "GET, HEAD, OPTIONS", "Get Agents"),
    Endpoint("agents/versions/", {"GET": versions}, may("can_list_agents"), "GET, OPTIONS", "Get Agent Versions"),
    Endpoint("agents/notes/", {"GET": all_notes, "POST": post_note}, _NOTES, "GET, POST, HEAD, OPTIONS"),
    Endpoint(
        "agents/{agent_id}/",
        {"GET": get_agent, "PUT": edit_agent, "DELETE": delete_agent},
        {"GET": _READ, "PUT": _EDIT, "DELETE": may_on_agent("can_uninstall_agents")},
        "GET, PUT, DELETE, HEAD, OPTIONS",
    ),
    Endpoint("agents/{agent_id}/ping/", {"GET": ping}, _READ, "GET, OPTIONS", "Ping"),
    Endpoint(
        "agents/{agent_id}/notes/",
        {"GET": agent_notes},
        {"GET": may_on_agent("can_list_notes"), "POST": may_on_agent("can_manage_notes")},
        "GET, POST, HEAD, OPTIONS",
    ),
]
