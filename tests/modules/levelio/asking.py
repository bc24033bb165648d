"""What the tests ask for, and how they look at what came of it."""

import json
from typing import Any

import pytest
from google.protobuf.message import Message

from sandbox.client import SandboxControl
from server.gen.patchbay.v1.failure_pb2 import Failure
from server.sdk import ActionFailure
from tests.modules.harness import Connected


async def failing(connected: Connected, handler: Any, request: Message, *, seconds: float = 30.0) -> Failure:
    """Calls a handler that must fail and returns how."""
    with pytest.raises(ActionFailure) as caught:
        await connected.run(handler, request, seconds=seconds)
    return caught.value.failure


def asked(vendor: SandboxControl) -> list[str]:
    """Method, path and query of every request, in order."""
    seen = vendor.requests(1000)
    return [f"{one['method']} {one['raw_path']}{'?' if one['query'] else ''}{one['query']}" for one in seen]


def body(vendor: SandboxControl) -> dict[str, Any]:
    """Returns the JSON object that the newest request carried."""
    parsed: dict[str, Any] = json.loads(vendor.requests()[-1]["body"])
    return parsed
