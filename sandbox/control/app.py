"""A simulator behind its control plane."""

from collections.abc import Callable, Mapping
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from sandbox.control.faults import FaultBook
from sandbox.control.inject import Suffering
from sandbox.control.requests import RequestLog
from sandbox.control.routes import Control, control_routes
from sandbox.control.simulator import Simulator

PREFIX = "/_sandbox/"


async def _read_body(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body", False):
        message = await receive()
        body += message.get("body", b"")
    return body


def _with_body(body: bytes, receive: Receive) -> Receive:
    """A `receive` that first gives the body already read, then what the client really does."""
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return first.pop() if first else await receive()

    return replayed


class Sandbox:
    """ASGI application: the control plane under `/_sandbox/`, the simulated vendor everywhere else.

    Args:
        simulator: The simulated vendor.
        mask_path: Takes credentials out of the paths that are remembered, where the vendor has some in them.
        controls: What else a test can order by `POST /_sandbox/<name>`.

    Attributes:
        simulator: The simulated vendor.
        faults: Faults waiting for a request.
        requests: What was received.
    """

    def __init__(
        self,
        simulator: Simulator,
        mask_path: Callable[[str], str] = str,
        controls: Mapping[str, Control] | None = None,
    ) -> None:
        self.simulator = simulator
        self.faults = FaultBook()
        self.requests = RequestLog(mask_path)
        self._control = control_routes(self, controls or {})

    def reset(self) -> None:
        """Back to the seed: world, faults, effects and remembered requests."""
        self.faults.clear()
        self.requests.clear()
        self.simulator.effects.clear()
        self.simulator.reset()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        if scope["type"] != "http":
            raise RuntimeError(f"only HTTP is simulated, not {scope['type']}")
        if scope["path"].startswith(PREFIX):
            await self._control(scope, receive, send)
        else:
            await self._vendor(scope, receive, send)

    async def _vendor(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _read_body(receive)
        entry = self.requests.open(scope, body)

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry["status"] = message["status"]
            await send(message)

        async def handle(answer: Send) -> None:
            await self.simulator(scope, _with_body(body, receive), answer)

        rule = self.faults.take(scope["method"], scope["path"])
        if rule is None:
            await handle(noted)
            return
        entry["fault"] = rule.fault.kind
        await Suffering(rule, self.faults, scope, receive, noted, handle).suffer()

    def describe(self) -> dict[str, Any]:
        """Name of the vendor and whether it is up."""
        return {"ok": True, "simulator": self.simulator.name}
