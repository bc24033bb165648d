"""Stored scripts, and running code that is not stored."""

from sandbox.tacticalrmm.access import may, may_on_agent
from sandbox.tacticalrmm.bus import Bus
from sandbox.tacticalrmm.jobs import results
from sandbox.tacticalrmm.machine import run_command
from sandbox.tacticalrmm.models import Script
from sandbox.tacticalrmm.render import script_detail, script_row
from sandbox.tacticalrmm.routing import Endpoint
from sandbox.tacticalrmm.wire import Answer, Call, missing, reply, whole

_SUFFIXES = {
    "powershell": ".ps1",
    "cmd": ".bat",
    "python": ".py",
    "shell": ".sh",
    "nushell": ".nu",
    "deno": ".ts",
}


async def list_scripts(call: Call) -> Answer:
    """Bare array sorted by category; community scripts unless switched off, hidden ones only on request."""
    community = call.query.get("showCommunityScripts", "true") not in {"", "false"}
    hidden = call.query.get("showHiddenScripts") == "true"
    shown = [
        script
        for script in call.world.scripts.values()
        if (community or script.script_type == "userdefined") and (hidden or not script.hidden)
    ]
    return reply([script_row(script) for script in sorted(shown, key=lambda one: one.category or "")])


def _wanted(call: Call) -> Script:
    script = call.world.scripts.get(int(call.params["pk"]))
    if script is None:
        raise missing("Script")
    return script


async def get_script(call: Call) -> Answer:
    """One script with its body."""
    return reply(script_detail(_wanted(call)))


async def download(call: Call) -> Answer:
    """The body with a file name."""
    script = _wanted(call)
    return reply({"filename": script.name + _SUFFIXES[script.shell], "code": script.script_body})


async def test_script(call: Call) -> Answer:
    """Run code that is not stored; leaves no history row. The simulated machine takes the code for a command."""
    agent, data = call.agent, call.data()
    code, shell, timeout = str(data.need("code")), data.need("shell"), whole(data.need("timeout"))
    args, env = data.need("args"), data.need("env_vars")
    run_as_user = data.need("run_as_user")
    run = run_command(call.world.commands, agent, code, timeout)

    def started() -> None:
        call.world.effects.record("run_code", agent.agent_id, {"code": code, "shell": shell, "args": args})

    failure = await Bus(call.world).ask(agent, timeout, seconds=run.seconds, started=started, ended=lambda: None)
    answer = failure or results(0, run)
    sent = {
        "func": "runscriptfull",
        "payload": {"code": code, "shell": shell},
        "timeout": timeout,
        "env_vars": env,
        "run_as_user": run_as_user,
        "script_args": args,
        "nushell_enable_config": False,
        "deno_default_permissions": "--allow-all",
    }
    call.audit("execute_script", agent, f"{call.username} tested a script on {agent.hostname}", answer, sent)
    return reply(answer)


_SCRIPTS = {"GET": may("can_list_scripts"), "POST": may("can_manage_scripts")}
_ONE = {**_SCRIPTS, "PUT": may("can_manage_scripts"), "DELETE": may("can_manage_scripts")}

ENDPOINTS = [
    Endpoint("scripts/", {"GET": list_scripts}, _SCRIPTS, "GET, POST, HEAD, OPTIONS"),
    Endpoint("scripts/{pk:int}/", {"GET": get_script}, _ONE, "GET, PUT, DELETE, HEAD, OPTIONS"),
    Endpoint("scripts/{pk:int}/download/", {"GET": download}, may("can_list_scripts"), "GET, OPTIONS", "Download"),
    Endpoint("scripts/{agent_id}/test/", {"POST": test_script}, may_on_agent("can_run_scripts"), "POST, OPTIONS"),
]
