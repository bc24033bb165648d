"""How the tests ask, and look at what came of it."""

import json
from typing import Any

import pytest
from google.protobuf.message import Message

from sandbox.client import SandboxControl
from server.gen.patchbay.v1.failure_pb2 import Failure
from server.sdk import ActionFailure
from tests.modules.harness import Connected


async def failing(connected: Connected, handler: Any, request: Message) -> Failure:
    """Calls a handler that must fail and returns how."""
    with pytest.raises(ActionFailure) as caught:
        await connected.run(handler, request)
    return caught.value.failure


def asked(vendor: SandboxControl, surface: str = "") -> list[str]:
    """Method and path of every request to a surface, in order; of all but login when none is named."""
    seen = [one for one in vendor.requests(1000) if surface or "/oauth2/" not in one["path"]]
    return [f"{one['method']} {one['path']}" for one in seen if one["path"].startswith(f"/{surface}")]


def bodies(vendor: SandboxControl) -> list[dict[str, Any]]:
    """Returns the JSON of every POST but those for tokens."""
    seen = [one for one in vendor.requests(1000) if one["method"] == "POST" and "/oauth2/" not in one["path"]]
    return [json.loads(one["body"]) for one in seen]


def messages(vendor: SandboxControl) -> list[dict[str, Any]]:
    """Returns what people can see, oldest first."""
    found: list[dict[str, Any]] = vendor.state()["messages"]
    return found
