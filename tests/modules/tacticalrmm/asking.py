"""What the tests ask for, and how they look at what came of it."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.message import Message

from sandbox.client import SandboxControl
from sandbox.serving import SandboxServer
from server.gen.patchbay.modules.tacticalrmm.v1.tacticalrmm_pb2 import RunScriptRequest
from server.gen.patchbay.v1.failure_pb2 import Failure
from server.modules.tacticalrmm.runs import run_script
from server.sdk import ActionFailure
from tests.modules.harness import Connected
from tests.modules.tacticalrmm.world import CLEANUP, OBEDIENT, ONLINE, OTHER_KEY
from tests.support.web import fetch


def ask(agent: str = ONLINE, script: str = CLEANUP, *args: str, timeout: int = 5, **more: Any) -> RunScriptRequest:
    """Returns a request to run a script."""
    return RunScriptRequest(agent_id=agent, script_id=script, args=args, timeout=timeout, **more)


async def failing(connected: Connected, request: Message, handler: Any = run_script) -> Failure:
    """Calls a handler that must fail and returns how."""
    with pytest.raises(ActionFailure) as caught:
        await connected.run(handler, request)
    return caught.value.failure


def ran(vendor: SandboxControl) -> int:
    """Counts the scripts that were really started."""
    return vendor.effects().count("run_script")


def posts(vendor: SandboxControl, ending: str = "") -> list[dict[str, Any]]:
    """Returns the POST requests that the server received on paths with this ending."""
    seen = vendor.requests(1000)
    return [one for one in seen if one["method"] == "POST" and str(one["path"]).endswith(ending)]


def body(request: dict[str, Any]) -> dict[str, Any]:
    """Returns the JSON object that a request carried."""
    parsed: dict[str, Any] = json.loads(str(request["body"]))
    return parsed


async def until(condition: Callable[[], bool]) -> None:
    """Waits for something in the simulator, which offers no event across threads."""
    while not condition():
        await asyncio.sleep(0.01)


def somebody_runs(server: SandboxServer, args: list[str]) -> None:
    """Runs the obedient script as another account, as a person would in the web page."""
    order = {"script": int(OBEDIENT), "output": "forget", "args": args, "env_vars": [], "run_as_user": False}
    headers = {"X-API-KEY": OTHER_KEY, "Content-Type": "application/json"}
    answer = fetch(server.url, "POST", f"/agents/{ONLINE}/runscript/", {**order, "timeout": 5}, headers)
    assert answer.status == 200
