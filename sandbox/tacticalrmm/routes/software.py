"""Windows updates and installed software."""

from sandbox.tacticalrmm.access import in_scope, may, may_on_agent
from sandbox.tacticalrmm.bus import Bus
from sandbox.tacticalrmm.routes.run import UNREACHABLE
from sandbox.tacticalrmm.routing import Endpoint, Handler
from sandbox.tacticalrmm.wire import Answer, Call, bad, detail, missing, reply

_ACTIONS = frozenset({"inherit", "approve", "ignore", "nothing"})
_REFRESH_SECONDS, _INSTALL_SECONDS = 15.0, 2.0


async def list_updates(call: Call) -> Answer:
    """Updates the server knows of, from its database."""
    wanted = call.agent.id
    return reply([row for row in call.world.winupdates.values() if row["agent"] == wanted])


async def edit_update(call: Call) -> Answer:
    """Decide about one update."""
    row = call.world.winupdates.get(int(call.params["pk"]))
    agent = None if row is None else call.world.agent_by_pk(row["agent"])
    if row is None or agent is None:
        raise missing("WinUpdate")
    if not in_scope(call, agent):
        raise detail(403, "You do not have permission to perform this action.")
    action = call.data().get("action")
    if action not in _ACTIONS:
        return bad({"action": [f'"{action}" is not a valid choice.']})
    row["action"] = action
    call.world.effects.record("edit_update", agent.agent_id, {"kb": row["kb"], "action": action})
    return reply(f"Windows update {row['kb']} was changed to {action}")


def _told(kind: str, sentence: str) -> Handler:
    async def handler(call: Call) -> Answer:
        agent = call.agent
        if agent.plat != "windows":
            return bad(f"Not available for {agent.plat}")

        def started() -> None:
            call.world.effects.record(kind, agent.agent_id, {})

        call.world.background(Bus(call.world).tell(agent, started=started, ended=lambda: None))
        return reply(f"{sentence} {agent.hostname}")

    return handler


async def get_software(call: Call) -> Answer:
    """The last collected list, or an empty array when there was none."""
    agent = call.agent
    known = {"id": agent.id, "software": agent.software, "agent": agent.id}
    return reply([] if agent.software is None else known)


async def refresh_software(call: Call) -> Answer:
    """Collect the list again."""
    agent = call.agent
    failure = await Bus(call.world).request(agent, _REFRESH_SECONDS)
    if failure is not None:
        return bad(UNREACHABLE)
    agent.software = list(agent.installed)
    return reply("ok")


async def install_software(call: Call) -> Answer:
    """Install a package by name."""
    agent, name = call.agent, str(call.data().need("name"))
    if agent.plat != "windows":
        return bad(f"Not available for {agent.plat}")

    def started() -> None:
        call.world.effects.record("install_software", agent.agent_id, {"name": name})

    failure = await Bus(call.world).ask(agent, _INSTALL_SECONDS, started=started, ended=lambda: None)
    done = (
        f"{name} will be installed shortly on {agent.hostname}. Check the Pending Actions menu to see the status/output"
    )
    return bad(UNREACHABLE) if failure else reply(done)


_UPDATES, _POST = may_on_agent("can_manage_winupdates"), "POST, OPTIONS"
_SCAN = _told("scan_updates", "A Windows update scan will be performed on")
_INSTALL = _told("install_updates", "Approved patches will now be installed on")
_MANAGE = may_on_agent("can_manage_software")
_SOFTWARE = {"GET": may_on_agent("can_list_software"), "POST": _MANAGE, "PUT": _MANAGE}

ENDPOINTS = [
    Endpoint("winupdate/{agent_id}/", {"GET": list_updates}, _UPDATES, "GET, HEAD, OPTIONS"),
    Endpoint("winupdate/{pk:int}/", {"PUT": edit_update}, may("can_manage_winupdates"), "PUT, OPTIONS"),
    Endpoint("winupdate/{agent_id}/scan/", {"POST": _SCAN}, _UPDATES, _POST),
    Endpoint("winupdate/{agent_id}/install/", {"POST": _INSTALL}, _UPDATES, _POST),
    Endpoint(
        "software/{agent_id}/",
        {"GET": get_software, "PUT": refresh_software, "POST": install_software},
        _SOFTWARE,
        "GET, POST, PUT, HEAD, OPTIONS",
    ),
]
