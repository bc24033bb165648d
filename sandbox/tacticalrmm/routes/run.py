"""Running scripts and commands on agents."""

import re
from dataclasses import dataclass
from typing import Any

from sandbox.tacticalrmm.access import may_on_agent
from sandbox.tacticalrmm.bus import TIMEOUT, Bus
from sandbox.tacticalrmm.machine import Run, command_output, run_command, run_script
from sandbox.tacticalrmm.models import Agent, HistoryRow, Script
from sandbox.tacticalrmm.routes.agents import add_note
from sandbox.tacticalrmm.routing import Endpoint
from sandbox.tacticalrmm.wire import Answer, Body, Call, Crash, bad, missing, reply, whole

UNREACHABLE = "Unable to contact the agent"
_SCRIPT_GRACE, _COMMAND_GRACE = 3, 2
_WAITING = frozenset({"wait", "note", "collector"})
_TEMPLATE = re.compile(r"\{\{\s*(agent\.hostname|client\.name|site\.name)\s*\}\}")


@dataclass(slots=True)
class _Wish:
    """A validated request to run a script."""

    script: Script
    output: str
    args: list[str]
    env: list[str]
    timeout: int
    run_as_user: bool


def _characters(value: Any) -> list[str]:
    return [str(one) for one in value or []]


def _expanded(call: Call, agent: Agent, text: str, quote: str) -> str:
    if "{{" not in text:
        return text
    values = {
        "agent.hostname": agent.hostname,
        "client.name": call.world.client_of(agent).name,
        "site.name": call.world.site_of(agent).name,
    }
    return _TEMPLATE.sub(lambda found: f"{quote}{values[found[1]]}{quote}", text)


def _wish(call: Call, agent: Agent, data: Body) -> _Wish:
    output, args, env = data.need("output"), data.need("args"), data.need("env_vars")
    run_as_user, timeout = data.need("run_as_user"), whole(data.need("timeout"))
    script = call.world.scripts.get(whole(data.need("script")))
    if script is None:
        raise missing("Script")
    return _Wish(
        script,
        str(output),
        [_expanded(call, agent, arg, "'") for arg in _characters(args)],
        [_expanded(call, agent, one, "") for one in _characters(env) if "=" in one],
        timeout,
        bool(run_as_user) or script.run_as_user,
    )


def _opened(call: Call, agent: Agent, wish: _Wish, data: Body) -> HistoryRow:
    row = HistoryRow(
        next(call.world.ids["history"]),
        agent.id,
        call.username[:50],
        "script_run",
        script=wish.script.id,
        script_name=wish.script.name,
        collector_all_output=bool(data.get("save_all_output", False)) and wish.output == "collector",
        save_to_agent_note=wish.output == "note",
    )
    call.world.add_history(row)
    return row


def results(row_id: int, run: Run) -> dict[str, Any]:
    """What an agent reports about a finished script."""
    return {
        "id": row_id,
        "stderr": run.stderr,
        "stdout": run.stdout,
        "retcode": run.retcode,
        "execution_time": run.seconds or 0.0125,
    }


async def runscript(call: Call) -> Answer:
    """Run a stored script; waits for the output or not, as `output` says."""
    agent, data = call.agent, call.data()
    wish = _wish(call, agent, data)
    if wish.output == "email" and data.need("emailMode") != "default":
        data.need("emails")
    row = _opened(call, agent, wish, data)
    if data.get("run_on_server"):
        return _on_server(call, row)
    limit = wish.timeout + _SCRIPT_GRACE
    run = run_script(wish.script, agent, wish.args, wish.env, limit)
    bus = Bus(call.world)

    def started() -> None:
        call.world.effects.record("run_script", agent.agent_id, _effect(call, wish, row))

    def report() -> None:
        row.script_results = results(row.id, run)

    def ended() -> None:
        bus.after(call.world.settings.history_lag, report)

    if wish.output not in _WAITING:
        await bus.tell(agent, seconds=run.seconds, started=started, ended=ended)
        return reply(f"{wish.script.name} will now be run on {agent.hostname}")
    failure = await bus.ask(agent, limit, seconds=run.seconds, started=started, ended=ended)
    return _stored(call, agent, wish, data, failure or run.output)


def _effect(call: Call, wish: _Wish, row: HistoryRow) -> dict[str, Any]:
    return {
        "script": wish.script.id,
        "script_name": wish.script.name,
        "args": wish.args,
        "env_vars": wish.env,
        "run_as_user": wish.run_as_user,
        "timeout": wish.timeout,
        "history_id": row.id,
        "username": call.username,
    }


def _on_server(call: Call, row: HistoryRow) -> Answer:
    if not call.world.settings.server_scripts:
        return bad("Running scripts on the TRMM server is disabled")
    run = Run("", "Error: [Errno 8] Exec format error: 'simulated'", 99, 0.0006)
    row.script_results = results(row.id, run)
    call.world.effects.record("run_script_on_server", "server", {"script": row.script, "history_id": row.id})
    return reply({"stdout": "", "stderr": run.stderr, "execution_time": "0.0006", "retcode": 99})


def _stored(call: Call, agent: Agent, wish: _Wish, data: Body, output: str) -> Answer:
    if wish.output == "note":
        add_note(call, agent, output)
    if wish.output == "collector":
        field = data.need("custom_field")
        if field not in call.world.custom_fields:
            raise Crash
        lines = output.strip().splitlines() or [""]
        value = output if data.need("save_all_output") else lines[-1]
        _set_field(agent, field, value)
    return reply(output)


def _set_field(agent: Agent, field: int, value: str) -> None:
    for known in agent.custom_fields:
        if known["field"] == field:
            known["value"] = value
            return
    agent.custom_fields.append(
        {"id": len(agent.custom_fields) + 1, "field": field, "agent": agent.id, "value": value}
    )


async def cmd(call: Call) -> Answer:
    """Run a command and answer its output; no exit code exists."""
    agent, data = call.agent, call.data()
    timeout = whole(data.need("timeout"))
    shell, text, as_user = data.need("shell"), str(data.need("cmd")), bool(data.need("run_as_user"))
    if shell == "custom":
        shell = data.need("custom_shell")
    row = HistoryRow(next(call.world.ids["history"]), agent.id, call.username[:50], "cmd_run", command=text)
    call.world.add_history(row)
    run = run_command(call.world.commands, agent, text, timeout)
    output, bus = command_output(agent, run), Bus(call.world)
    effect = {"shell": shell, "cmd": text, "run_as_user": as_user, "timeout": timeout, "history_id": row.id}

    def started() -> None:
        call.world.effects.record("run_command", agent.agent_id, {**effect, "username": call.username})

    def report() -> None:
        row.results = output

    def ended() -> None:
        bus.after(call.world.settings.history_lag, report)

    failure = await bus.ask(
        agent, timeout + _COMMAND_GRACE, seconds=run.seconds, started=started, ended=ended
    )
    return bad(UNREACHABLE) if failure == TIMEOUT else reply(failure or output)


ENDPOINTS = [
    Endpoint(
        "agents/{agent_id}/runscript/",
        {"POST": runscript},
        may_on_agent("can_run_scripts"),
        "POST, OPTIONS",
        "Run Script",
    ),
    Endpoint(
        "agents/{agent_id}/cmd/", {"POST": cmd}, may_on_agent("can_send_cmd"), "POST, OPTIONS", "Send Raw Cmd"
    ),
]
