"""What a tenant can do with Tactical RMM."""

from server.gen.patchbay.modules.tacticalrmm.v1 import tacticalrmm_pb2 as pb
from server.modules.tacticalrmm.client import TacticalClient
from server.modules.tacticalrmm.connection import NotReached
from server.modules.tacticalrmm.runs import Mark, Mode, ScriptRun, agent_offline, long_gone, silent, told
from server.sdk import ActionContext, ActionFailure, Device, sends_at_once
from server.sdk.devices import Devices
from server.sdk.listing import by_name
from server.sdk.reading import filled

Context = ActionContext[TacticalClient]

_AGENTS = Devices(pb.Agent, "tacticalrmm", agent_id="device_id", hostname="name", agent_online="online")
_SHELLS = {"windows": "powershell", "linux": "/bin/bash", "darwin": "/bin/bash"}


async def find_agents(request: pb.FindAgentsRequest, ctx: Context) -> pb.FindAgentsResponse:
    """Finds agents in the inventory, or at the vendor when asked to or when the inventory is empty."""
    agents = await _AGENTS.find(request, ctx)
    return pb.FindAgentsResponse(agents=agents, count=len(agents))


async def get_agent(request: pb.GetAgentRequest, ctx: Context) -> pb.GetAgentResponse:
    """Asks the vendor for one agent."""
    return pb.GetAgentResponse(agent=await _AGENTS.get(request.agent_id, ctx))


async def list_scripts(request: pb.ListScriptsRequest, ctx: Context) -> pb.ListScriptsResponse:
    """Lists the script library."""
    rows = [row for row in await ctx.client.scripts() if row.get("hidden") is not True]
    shown = [filled(pb.Script, row) for row in by_name(rows, request.query, request.limit)]
    return pb.ListScriptsResponse(scripts=shown, count=len(shown))


async def run_script(request: pb.RunScriptRequest, ctx: Context) -> pb.RunScriptResponse:
    """Runs a stored script and finds its end in the agent's history; see `runs`."""
    client = ctx.client
    _refuse_templates(request, client)
    agent, script = await client.agent(request.agent_id), await client.script(request.script_id)
    _refuse_platform(script, agent)
    mode = _mode(request, client)
    async with ctx.lock("run_script", request.agent_id, request.script_id):
        if mode != "wait" and not await client.online(request.agent_id):
            raise agent_offline()  # the order would be taken without a word about it
        history = await client.history(request.agent_id)
        mark = Mark(before=history.newest, asked_at=history.told_at, gone=mode == "wait" and long_gone(agent))
        ctx.remember(mark.evidence(request))
        report = await ScriptRun(client, request, mark, ctx.deadline).carry_out(mode)
    if mode != "forget" and (report.row is None or report.row.result is None):
        ctx.warn("EXIT_CODE_UNKNOWN", "The run was not found in the agent's history.", "")
    return told(request.agent_id, report, waited=mode != "forget", client=client)


async def run_command(request: pb.RunCommandRequest, ctx: Context) -> pb.RunCommandResponse:
    """Runs a shell command while the server waits for the agent."""
    client, limit = ctx.client, request.timeout
    if limit + 2 > client.max_wait:
        raise ActionFailure(
            "TIMEOUT_TOO_LONG",
            f"The server's front end keeps a request open for {client.max_wait:g} s; the limit can be "
            f"{client.max_wait - 2:g} s.",
            field="timeout",
        )
    agent = await client.agent(request.agent_id)
    shell = _shell(request.shell, agent)
    try:
        said = await client.run_command(
            request.agent_id, request.command, shell=shell, limit=limit, as_user=request.run_as_user
        )
    except NotReached as lost:
        if long_gone(agent) and await silent(client, request.agent_id):
            raise agent_offline(400, lost.failure.vendor_message) from None
        raise
    response = pb.RunCommandResponse(run_requested=True, agent_id=request.agent_id, output=said, shell=shell)
    response.vendor_response.string_value = said[:4000]
    return response


@sends_at_once
async def reboot_agent(request: pb.RebootAgentRequest, ctx: Context) -> pb.RebootAgentResponse:
    """Reboots one agent now.

    A busy agent may take the order after the server gave up, and be gone when asked: only one that the server had not
    heard of for minutes either is proved not to have got it.
    """
    try:
        await ctx.client.reboot(request.agent_id)
    except NotReached as lost:
        if await silent(ctx.client, request.agent_id) and await _now_gone(request.agent_id, ctx.client):
            raise agent_offline(400, lost.failure.vendor_message) from None
        raise
    return pb.RebootAgentResponse(reboot_requested=True, agent_id=request.agent_id)


def _refuse_templates(request: pb.RunScriptRequest, client: TacticalClient) -> None:
    for name, texts in (("args", request.args), ("env_vars", request.env_vars)):
        for index, text in enumerate(texts):
            if "{{" in text and not client.allow_templates:
                raise ActionFailure(
                    "TEMPLATE_REFUSED",
                    "The text holds `{{`: Tactical RMM would expand it and may put stored secrets on the agent.",
                    field=f"{name}[{index}]",
                )


def _refuse_platform(script: pb.Script, agent: Device) -> None:
    if script.supported_platforms and agent.platform and agent.platform not in script.supported_platforms:
        raise ActionFailure(
            "PLATFORM_NOT_SUPPORTED",
            f"The script is for {', '.join(script.supported_platforms)}; the agent runs {agent.platform}.",
            field="script_id",
        )


def _mode(request: pb.RunScriptRequest, client: TacticalClient) -> Mode:
    if not request.wait_for_output:
        return "forget"
    return "wait" if request.timeout + 3 <= client.max_wait else "watch"


async def _now_gone(agent_id: str, client: TacticalClient) -> bool:
    try:
        return long_gone(await client.agent(agent_id))
    except ActionFailure:
        return False


def _shell(wanted: str, agent: Device) -> str:
    default = _SHELLS.get(agent.platform or "")
    if wanted and (default is None or wanted.startswith("/") == default.startswith("/")):
        return wanted
    if default and not wanted:
        return default
    system = agent.platform or "a system that the vendor does not tell"
    raise ActionFailure(
        "SHELL_NOT_SUPPORTED",
        f"The agent runs {system}; the shell {f'`{wanted}` does not fit' if wanted else 'must be named'}.",
        field="shell",
    )
