"""What a tenant can do with Tactical RMM."""

from server.gen.patchbay.modules.tacticalrmm.v1 import tacticalrmm_pb2 as pb
from server.modules.tacticalrmm.client import AGENTS, TacticalClient
from server.modules.tacticalrmm.connection import NotReached, agent_offline, long_gone
from server.sdk import ActionContext, ActionFailure, Device, sends_at_once
from server.sdk.following import unless_failed
from server.sdk.listing import by_name, listed

Context = ActionContext[TacticalClient]

_SHELLS = {"windows": "powershell", "linux": "/bin/bash", "darwin": "/bin/bash"}


async def find_agents(request: pb.FindAgentsRequest, ctx: Context) -> pb.FindAgentsResponse:
    """Finds agents in the inventory, or at the vendor when asked to or when the inventory is empty."""
    return listed(pb.FindAgentsResponse, await AGENTS.find(request, ctx))


async def get_agent(request: pb.GetAgentRequest, ctx: Context) -> pb.GetAgentResponse:
    """Asks the vendor for one agent."""
    return pb.GetAgentResponse(agent=await AGENTS.get(request.agent_id, ctx))


async def list_scripts(request: pb.ListScriptsRequest, ctx: Context) -> pb.ListScriptsResponse:
    """Lists the script library."""
    rows = [row for row in await ctx.client.scripts() if row.get("hidden") is not True]
    return listed(pb.ListScriptsResponse, by_name(rows, request.query, request.limit))


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
        if long_gone(agent) and await client.silent(request.agent_id):
            raise agent_offline(lost) from None
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
        if await ctx.client.silent(request.agent_id) and await _now_gone(request.agent_id, ctx.client):
            raise agent_offline(lost) from None
        raise
    return pb.RebootAgentResponse(reboot_requested=True, agent_id=request.agent_id)


async def _now_gone(agent_id: str, client: TacticalClient) -> bool:
    agent = await unless_failed(client.agent(agent_id))
    return agent is not None and long_gone(agent)


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
