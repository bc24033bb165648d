"""Running scripts and commands on agents."""

import re
from typing import Any

from sandbox.tacticalrmm.access import may_on_agent
from sandbox.tacticalrmm.bus import TIMEOUT
from sandbox.tacticalrmm.jobs import CommandJob, ScriptJob, results
from sandbox.tacticalrmm.machine import Run
from sandbox.tacticalrmm.models import Agent
from sandbox.tacticalrmm.routes.agents import add_note
from sandbox.tacticalrmm.routing import Endpoint
from sandbox.tacticalrmm.wire import Answer, Body, Call, Crash, bad, missing, reply, whole

UNREACHABLE = "Unable to contact the agent"
_SERVER_SECONDS = "0.0006"
_WAITING = frozenset({"wait", "note", "collector"})
_TEMPLATE = re.compile(r"\{\{\s*(agent\.hostname|client\.name|site\.name)\s*\}\}")


def _characters(value: Any) -> list[str]:
    """The items of an array; of a plain string, its characters."""
    try:
        return [str(one) for one in value or []]
    except TypeError:
        raise Crash from None


def _expanded(call: Call, agent: Agent, text: str, quote: str) -> str:
    if "{{" not in text:
        return text
    values = {
        "agent.hostname": agent.hostname,
        "client.name": call.world.client_of(agent).name,
        "site.name": call.world.site_of(agent).name,
    }
    return _TEMPLATE.sub(lambda found: f"{quote}{values[found[1]]}{quote}", text)


def script_job(call: Call, agent: Agent, data: Body) -> ScriptJob:
    """The job a request body describes. A field that is missing crashes the server."""
    data.need("output")
    args, env = data.need("args"), data.need("env_vars")
    run_as_user, timeout = data.need("run_as_user"), whole(data.need("timeout"))
    script = call.world.scripts.get(whole(data.need("script")))
    if script is None:
        raise missing("Script")
    return ScriptJob(
        call,
        agent,
        script,
        args=[_expanded(call, agent, arg, "'") for arg in _characters(args)],
        env=[_expanded(call, agent, one, "") for one in _characters(env) if "=" in one],
        timeout=timeout,
        run_as_user=bool(run_as_user),
    )


async def runscript(call: Call) -> Answer:
    """Run a stored script; waits for the output or not, as `output` says."""
    agent, data = call.agent, call.data()
    job, output = script_job(call, agent, data), data["output"]
    job.audit()
    if data.get("run_on_server"):
        return _on_server(call, job)
    if output in _WAITING:
        failure = await job.wait()
        return _stored(call, agent, data, failure or job.run.output)
    if output == "email":
        _mailed(data, job)
    else:
        await job.forget()
    return reply(f"{job.row.script_name} will now be run on {agent.hostname}")


def _mailed(data: Body, job: ScriptJob) -> None:
    """A worker runs it and mails the output; the row exists even when the request is bad."""
    if data.need("emailMode") != "default":
        data.need("emails")
    job.queue()


def _on_server(call: Call, job: ScriptJob) -> Answer:
    if not call.world.settings.server_scripts:
        return bad("Server scripts are disabled.")
    run = Run("", "Error: [Errno 8] Exec format error: '/srv/trmmsimulated'", 99, 0.0)
    job.row.script_results = {**results(job.row.id, run), "execution_time": _SERVER_SECONDS}
    call.world.effects.record("run_script_on_server", "server", {"script": job.row.script, "history_id": job.row.id})
    return reply({"stdout": "", "stderr": run.stderr, "execution_time": _SERVER_SECONDS, "retcode": 99})


def _stored(call: Call, agent: Agent, data: Body, output: str) -> Answer:
    if data["output"] == "note":
        add_note(call, agent, output)
    if data["output"] == "collector":
        field = data.need("custom_field")
        if field not in call.world.custom_fields:
            raise Crash
        lines = output.strip().splitlines() or [""]
        _set_field(agent, field, output if data.need("save_all_output") else lines[-1])
    return reply(output)


def _set_field(agent: Agent, field: int, value: str) -> None:
    for known in agent.custom_fields:
        if known["field"] == field:
            known["value"] = value
            return
    agent.custom_fields.append({"id": len(agent.custom_fields) + 1, "field": field, "agent": agent.id, "value": value})


async def cmd(call: Call) -> Answer:
    """Run a command and answer its output. A timeout is a 400, a bus that is down passes for output."""
    agent, data = call.agent, call.data()
    timeout, shell, text = whole(data.need("timeout")), str(data.need("shell")), str(data.need("cmd"))
    run_as_user = bool(data.need("run_as_user"))
    if shell == "custom":
        shell = str(data.need("custom_shell"))
    job = CommandJob(call, agent, text, shell=shell, timeout=timeout, run_as_user=run_as_user)
    failure = await job.wait()
    if failure == TIMEOUT:
        return bad(UNREACHABLE)
    job.audit()
    return reply(failure or job.output)


_POST = "POST, OPTIONS"

ENDPOINTS = [
    Endpoint(
        "agents/{agent_id}/runscript/",
        {"POST": runscript},
        may_on_agent("can_run_scripts"),
        _POST,
        "Run Script",
    ),
    Endpoint("agents/{agent_id}/cmd/", {"POST": cmd}, may_on_agent("can_send_cmd"), _POST, "Send Raw Cmd"),
]
