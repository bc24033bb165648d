"""What the tests ask for, and how they look at what came of it."""

import json
from typing import Any

import pytest
from google.protobuf.message import Message

from sandbox.client import SandboxControl
from server.gen.patchbay.modules.ninjaone.v1.ninjaone_pb2 import RunScriptRequest
from server.gen.patchbay.v1.failure_pb2 import Failure
from server.sdk import ActionFailure
from tests.modules.harness import Connected
from tests.modules.ninjaone.world import CLEANUP, SERVER


def run(device: str = SERVER, script: str = CLEANUP, **more: Any) -> RunScriptRequest:
    """Returns a request to run a script."""
    return RunScriptRequest(device_id=device, script_id=script, **more)


async def failing(connected: Connected, handler: Any, request: Message, *, seconds: float = 30.0) -> Failure:
    """Calls a handler that must fail and returns how."""
    with pytest.raises(ActionFailure) as caught:
        await connected.run(handler, request, seconds=seconds)
    return caught.value.failure


def asked(vendor: SandboxControl, *, tokens: bool = False) -> list[str]:
    """Method, path and query of every request, in order; those for tokens only when they are asked for."""
    return [
        f"{one['method']} {one['path']}{'?' if one['query'] else ''}{one['query']}"
        for one in vendor.requests(1000)
        if tokens or "/oauth/" not in one["path"]
    ]


def token_requests(vendor: SandboxControl) -> int:
    """Counts the requests for tokens."""
    return sum("/oauth/token" in one["path"] for one in vendor.requests(1000))


def bodies(vendor: SandboxControl, ending: str) -> list[Any]:
    """Returns the JSON that POST requests on such paths carried."""
    seen = vendor.requests(1000)
    return [json.loads(one["body"]) for one in seen if one["method"] == "POST" and one["path"].endswith(ending)]
