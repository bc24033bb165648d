"""run_command and reboot: the shell that fits, and what silence means."""

from typing import Any

import pytest

from sandbox.client import SandboxControl
from sandbox.serving import SandboxServer
from server.gen.patchbay.modules.tacticalrmm.v1.tacticalrmm_pb2 import RebootAgentRequest, RunCommandRequest
from server.modules.tacticalrmm.actions import reboot_agent, run_command
from server.sdk import Effect
from tests.modules.harness import Connect, Connected
from tests.modules.tacticalrmm.asking import body, failing, posts
from tests.modules.tacticalrmm.world import LINUX, MAC, NOBODY, OFFLINE, ONLINE, OVERDUE, SLOW, by_key

pytestmark = pytest.mark.anyio

NONE, UNKNOWN = Effect.EFFECT_NONE, Effect.EFFECT_UNKNOWN


def command(agent: str = ONLINE, text: str = "whoami", **more: Any) -> RunCommandRequest:
    """Returns a request to run a command."""
    return RunCommandRequest(agent_id=agent, command=text, **more)


async def test_a_command_answers_what_it_printed(connected: Connected, vendor: SandboxControl) -> None:
    """Output, shell and the vendor's answer come back; the order has all four fields."""
    answer = await connected.run(run_command, command(timeout=7, run_as_user=True))
    assert (answer.run_requested, answer.agent_id) == (True, ONLINE)
    assert answer.output == answer.vendor_response.string_value == "nt authority\\system\r\n"
    (order,) = posts(vendor, "/cmd/")
    assert body(order) == {"shell": "powershell", "cmd": "whoami", "timeout": 7, "run_as_user": True}
    assert vendor.effects().count("run_command") == 1


async def test_no_output_is_an_empty_output(connected: Connected) -> None:
    """A command that prints nothing succeeds with an empty text."""
    answer = await connected.run(run_command, command(LINUX, "sleep 0"))
    assert answer.HasField("output")
    assert answer.output == ""


@pytest.mark.parametrize(("agent", "shell"), [(ONLINE, "powershell"), (LINUX, "/bin/bash"), (MAC, "/bin/bash")])
async def test_an_empty_shell_becomes_the_one_that_fits(connected: Connected, agent: str, shell: str) -> None:
    """PowerShell on Windows, bash elsewhere."""
    assert (await connected.run(run_command, command(agent, "hostname"))).shell == shell


@pytest.mark.parametrize(("agent", "shell"), [(ONLINE, "cmd"), (LINUX, "/bin/sh"), (MAC, "/bin/zsh")])
async def test_a_shell_of_the_system_is_taken(connected: Connected, agent: str, shell: str) -> None:
    """A named shell goes through as it is."""
    assert (await connected.run(run_command, command(agent, "hostname", shell=shell))).shell == shell


@pytest.mark.parametrize(
    ("agent", "shell"), [(ONLINE, "/bin/bash"), (LINUX, "powershell"), (LINUX, "cmd"), (MAC, "cmd")]
)
async def test_a_shell_that_does_not_fit_is_refused_before_it_is_sent(
    connected: Connected, vendor: SandboxControl, agent: str, shell: str
) -> None:
    """The server would not check it."""
    failure = await failing(connected, command(agent, shell=shell), run_command)
    assert (failure.reason, failure.field, failure.effect) == ("SHELL_NOT_SUPPORTED", "shell", NONE)
    assert posts(vendor, "") == []


@pytest.mark.parametrize(("limit", "max_wait", "allowed"), [(48, 0, True), (49, 0, False), (98, 100, True)])
async def test_a_command_must_end_before_the_front_end_gives_up(
    connect: Connect, server: SandboxServer, vendor: SandboxControl, limit: int, max_wait: int, allowed: bool
) -> None:
    """The server waits 2 s longer than the command may run; both must fit into `max_wait`, 50 s by default."""
    connected = connect(by_key(server.url, max_wait=max_wait))
    if allowed:
        await connected.run(run_command, command(timeout=limit))
        return
    failure = await failing(connected, command(timeout=limit), run_command)
    assert (failure.reason, failure.field, failure.effect) == ("TIMEOUT_TOO_LONG", "timeout", NONE)
    assert vendor.requests() == []


@pytest.mark.parametrize("agent", [OFFLINE, OVERDUE])
async def test_a_command_for_an_agent_that_is_long_gone_has_no_effect(
    connected: Connected, vendor: SandboxControl, agent: str
) -> None:
    """400, no ping and minutes of silence before: AGENT_OFFLINE, safe to repeat."""
    failure = await failing(connected, command(agent, "echo x", timeout=1), run_command)
    assert (failure.reason, failure.effect, failure.retryable) == ("AGENT_OFFLINE", NONE, True)
    assert (failure.vendor_status, failure.vendor_message) == (400, "Unable to contact the agent")
    assert vendor.effects().total == 0


@pytest.mark.parametrize(("agent", "text"), [(LINUX, "sleep 5000"), (SLOW, "echo x")])
async def test_a_command_that_outlasts_the_server_is_an_unknown_outcome(
    connected: Connected, vendor: SandboxControl, agent: str, text: str
) -> None:
    """The same 400 from an agent that works on: it runs, so nobody may repeat it."""
    vendor.patch_state(agents={agent: {"kills_at_limit": False}})
    failure = await failing(connected, command(agent, text, timeout=1), run_command)
    assert (failure.reason, failure.effect, failure.retryable) == ("OUTCOME_UNKNOWN", UNKNOWN, False)
    assert vendor.effects().count("run_command") == 1


async def test_a_command_that_the_agent_stopped_answers_what_it_printed(connected: Connected) -> None:
    """The server marks it no further than by what a Unix agent adds to the output."""
    answer = await connected.run(run_command, command(LINUX, "sleep 5000", timeout=1))
    assert "Timed out after 1 seconds" in answer.output


async def test_a_bus_that_is_down_means_that_no_command_was_sent(connected: Connected, vendor: SandboxControl) -> None:
    """`natsdown` in a 200 is a failure without effect, never output."""
    vendor.patch_state(settings={"nats": "down"})
    failure = await failing(connected, command(), run_command)
    assert (failure.reason, failure.effect, failure.retryable) == ("VENDOR_UNAVAILABLE", NONE, True)
    assert vendor.effects().total == 0


@pytest.mark.parametrize("fault", ["reset_after", "garbage", "truncate"])
async def test_a_lost_answer_to_a_command_is_an_unknown_outcome(
    connected: Connected, vendor: SandboxControl, fault: str
) -> None:
    """Commands leave nothing that proves which of them ran."""
    vendor.add_fault(fault, path_regex="/cmd/$")
    failure = await failing(connected, command(), run_command)
    assert (failure.reason, failure.effect) == ("OUTCOME_UNKNOWN", UNKNOWN)
    assert len(posts(vendor, "/cmd/")) == vendor.effects().total == 1


async def test_a_500_to_a_command_is_an_unknown_outcome(connected: Connected, vendor: SandboxControl) -> None:
    """An error page says nothing about the agent."""
    vendor.patch_state(settings={"nats": "no_subscriber"})
    failure = await failing(connected, command(OFFLINE), run_command)
    told = (failure.reason, failure.vendor_status, failure.vendor_message)
    assert told == ("OUTCOME_UNKNOWN", 500, "Server Error (500)")


async def test_a_command_for_an_unknown_agent_is_not_found(connected: Connected) -> None:
    """The field is named."""
    failure = await failing(connected, command(NOBODY), run_command)
    assert (failure.reason, failure.field) == ("NOT_FOUND", "agent_id")


async def test_a_reboot_is_one_request_and_one_effect(connected: Connected, vendor: SandboxControl) -> None:
    """The order is the first and only request, so claim and send mark can be one."""
    answer = await connected.run(reboot_agent, RebootAgentRequest(agent_id=ONLINE))
    assert (answer.reboot_requested, answer.agent_id) == (True, ONLINE)
    assert [one["method"] for one in vendor.requests()] == ["POST"]
    assert vendor.effects().count("reboot") == 1
    assert reboot_agent.sends_at_once  # type: ignore[attr-defined] # set by the decorator


@pytest.mark.parametrize("agent", [OFFLINE, OVERDUE])
async def test_a_reboot_of_an_agent_that_is_long_gone_has_no_effect(
    connected: Connected, vendor: SandboxControl, agent: str
) -> None:
    """400, no ping, nothing heard for minutes: AGENT_OFFLINE, safe to repeat."""
    failure = await failing(connected, RebootAgentRequest(agent_id=agent), reboot_agent)
    assert (failure.reason, failure.effect, failure.retryable) == ("AGENT_OFFLINE", NONE, True)
    assert vendor.effects().total == 0


async def test_a_reboot_that_was_not_confirmed_is_never_called_offline(
    connected: Connected, vendor: SandboxControl
) -> None:
    """A busy agent takes the order late and answers no ping: it reboots, so a repeat would reboot it twice."""
    failure = await failing(connected, RebootAgentRequest(agent_id=SLOW), reboot_agent)
    assert (failure.reason, failure.effect, failure.retryable) == ("OUTCOME_UNKNOWN", UNKNOWN, False)
    assert vendor.effects().count("reboot") == 1


@pytest.mark.parametrize("path", ["/ping/$", f"/agents/{OFFLINE}/$"])
async def test_a_reboot_stays_unknown_when_the_agents_state_cannot_be_read(
    connected: Connected, vendor: SandboxControl, path: str
) -> None:
    """A failing question after the order is no proof that nothing happened."""
    vendor.add_fault("status", method="GET", path_regex=path, times=0, status=500, body="<h1>Oh</h1>")
    failure = await failing(connected, RebootAgentRequest(agent_id=OFFLINE), reboot_agent)
    assert (failure.reason, failure.effect) == ("OUTCOME_UNKNOWN", UNKNOWN)


@pytest.mark.parametrize(
    ("fault", "more"),
    [
        ("reset_after", {}),
        ("status", {"status": 500, "body": "<h1>Oh</h1>", "after": True}),
        ("status", {"status": 200, "body": {"odd": 1}, "after": True}),
    ],
)
async def test_a_reboot_without_the_agents_ok_is_an_unknown_outcome(
    connected: Connected, vendor: SandboxControl, fault: str, more: dict[str, Any]
) -> None:
    """Only "ok" is a success; everything else after the order went out is unknown, and nothing is repeated."""
    vendor.add_fault(fault, path_regex="/reboot/$", **more)
    failure = await failing(connected, RebootAgentRequest(agent_id=ONLINE), reboot_agent)
    assert (failure.reason, failure.effect) == ("OUTCOME_UNKNOWN", UNKNOWN)
    assert vendor.effects().count("reboot") == 1


async def test_a_connection_cut_before_the_order_is_read_is_still_unknown(
    connected: Connected, vendor: SandboxControl
) -> None:
    """Bytes left, no answer came: from here nobody can tell."""
    vendor.add_fault("reset_before", path_regex="/reboot/$")
    failure = await failing(connected, RebootAgentRequest(agent_id=ONLINE), reboot_agent)
    assert failure.reason == "OUTCOME_UNKNOWN"
    assert vendor.effects().total == 0


@pytest.mark.parametrize("said", ['"natsdown"', '"timeout"'])
async def test_the_bus_words_in_a_400_are_understood(connected: Connected, vendor: SandboxControl, said: str) -> None:
    """`natsdown` is proof that nothing was sent, `timeout` is not."""
    vendor.add_fault("status", path_regex="/reboot/$", status=400, body=said)
    failure = await failing(connected, RebootAgentRequest(agent_id=ONLINE), reboot_agent)
    expected = ("VENDOR_UNAVAILABLE", NONE) if "nats" in said else ("OUTCOME_UNKNOWN", UNKNOWN)
    assert (failure.reason, failure.effect) == expected
