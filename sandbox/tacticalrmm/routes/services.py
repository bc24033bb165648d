"""Windows services, processes, and other things asked of a live agent."""

from typing import Any

from sandbox.tacticalrmm.access import may_on_agent
from sandbox.tacticalrmm.bus import TIMEOUT, Bus
from sandbox.tacticalrmm.models import Agent
from sandbox.tacticalrmm.routes.run import UNREACHABLE
from sandbox.tacticalrmm.routing import Endpoint
from sandbox.tacticalrmm.wire import Answer, Call, bad, reply

_LIST_SECONDS, _ACTION_SECONDS, _PROCESS_SECONDS, _KILL_SECONDS = 10.0, 32.0, 5.0, 15.0
_WMI_SECONDS, _MESH_SECONDS = 20.0, 60.0
_NO_SERVICE = "The specified service does not exist as an installed service."
_DONE = {"restart": "restarted", "start": "started"}
_START_TYPES = {"auto": "Automatic", "autodelay": "Automatic", "manual": "Manual", "disabled": "Disabled"}


def _service(agent: Agent, name: str) -> dict[str, Any] | None:
    return next((one for one in agent.services if one["name"] == name), None)


async def list_services(call: Call) -> Answer:
    """Ask the agent for its services."""
    agent = call.agent
    failure = await Bus(call.world).request(agent, _LIST_SECONDS)
    return bad(UNREACHABLE) if failure else reply(agent.services)


async def get_service(call: Call) -> Answer:
    """Ask for one service. A bus that is down passes for an answer."""
    agent = call.agent
    failure = await Bus(call.world).request(agent, _LIST_SECONDS)
    if failure is not None:
        return bad(UNREACHABLE) if failure == TIMEOUT else reply(failure)
    return reply(_service(agent, call.params["name"]) or {})


async def control_service(call: Call) -> Answer:
    """Restart, start or stop; any other verb stops the service too, so the server says."""
    agent, name, action = call.agent, call.params["name"], str(call.data().need("sv_action"))
    if agent.plat != "windows":
        return bad("Please use 'Recover Connection' instead.")
    service = _service(agent, name)

    def started() -> None:
        if service is not None:
            service["status"] = "running" if action in _DONE else "stopped"
            call.world.effects.record("control_service", agent.agent_id, {"service": name, "action": action})

    failure = await Bus(call.world).ask(agent, _ACTION_SECONDS, started=started, ended=lambda: None)
    if failure is not None:
        return bad(UNREACHABLE)
    return reply(f"The service was {_DONE.get(action, 'stopped')} successfully") if service else bad(_NO_SERVICE)


async def edit_service(call: Call) -> Answer:
    """Change how a service starts."""
    agent, start_type = call.agent, str(call.data().need("startType"))
    failure = await Bus(call.world).request(agent, _LIST_SECONDS)
    if failure is not None:
        return bad(UNREACHABLE)
    service = _service(agent, call.params["name"])
    if service is None:
        return bad(_NO_SERVICE)
    service["start_type"] = _START_TYPES.get(start_type, service["start_type"])
    service["autodelay"] = start_type == "autodelay"
    call.world.effects.record("edit_service", agent.agent_id, {"service": service["name"], "start_type": start_type})
    return reply("The service start type was updated successfully")


async def list_processes(call: Call) -> Answer:
    """Ask the agent for its processes."""
    agent = call.agent
    failure = await Bus(call.world).request(agent, _PROCESS_SECONDS)
    return bad(UNREACHABLE) if failure else reply(agent.processes)


async def kill_process(call: Call) -> Answer:
    """End a process."""
    agent, pid = call.agent, int(call.params["pid"])
    failure = await Bus(call.world).request(agent, _KILL_SECONDS)
    if failure is not None:
        return bad(UNREACHABLE)
    if all(one["pid"] != pid for one in agent.processes):
        return bad("process not found")
    agent.processes = [one for one in agent.processes if one["pid"] != pid]
    call.world.effects.record("kill_process", agent.agent_id, {"pid": pid})
    return reply(f"Process with PID: {pid} was ended successfully")


async def recover(call: Call) -> Answer:
    """Restart the agent's helper; an unknown mode "succeeds" too."""
    agent, mode = call.agent, str(call.data().need("mode"))
    failure = await Bus(call.world).request(agent, _MESH_SECONDS)
    if failure is not None:
        return bad(UNREACHABLE)
    if mode == "mesh":
        call.world.effects.record("recover", agent.agent_id, {"mode": mode})
    return reply("Successfully completed recovery")


async def refresh_wmi(call: Call) -> Answer:
    """Let the agent send its inventory again."""
    failure = await Bus(call.world).request(call.agent, _WMI_SECONDS)
    return bad(UNREACHABLE) if failure else reply("Agent WMI data refreshed successfully")


async def wake(call: Call) -> Answer:
    """Goes through a MeshCentral that this server does not have, so the raw error comes back."""
    _ = call.agent
    return bad("non-hexadecimal number found in fromhex() arg at position 0")


_SERVICES, _EDIT, _POST = may_on_agent("can_manage_winsvcs"), may_on_agent("can_edit_agent"), "POST, OPTIONS"
_SERVICE = {"GET": get_service, "POST": control_service, "PUT": edit_service}
_PROCESSES = may_on_agent("can_manage_procs")
_PROCESS_ALLOW = "GET, DELETE, HEAD, OPTIONS"

ENDPOINTS = [
    Endpoint("services/{agent_id}/", {"GET": list_services}, _SERVICES, "GET, HEAD, OPTIONS"),
    Endpoint("services/{agent_id}/{name:text}/", _SERVICE, _SERVICES, "GET, POST, PUT, HEAD, OPTIONS"),
    Endpoint("agents/{agent_id}/processes/", {"GET": list_processes}, _PROCESSES, _PROCESS_ALLOW),
    Endpoint("agents/{agent_id}/processes/{pid:int}/", {"DELETE": kill_process}, _PROCESSES, _PROCESS_ALLOW),
    Endpoint("agents/{agent_id}/recover/", {"POST": recover}, may_on_agent("can_recover_agents"), _POST),
    Endpoint("agents/{agent_id}/wmi/", {"POST": refresh_wmi}, _EDIT, _POST),
    Endpoint("agents/{agent_id}/wol/", {"POST": wake}, may_on_agent("can_send_wol"), _POST),
]
