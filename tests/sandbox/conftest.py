"""A running simulator for each test, and ways to speak to it."""

import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.client import SandboxControl
from sandbox.serving import SandboxServer
from sandbox.tacticalrmm import create_app


class Caller:
    """Blocking requests to the simulated vendor, each on a connection of its own."""

    def __init__(self, server: SandboxServer) -> None:
        self.control = SandboxControl(server.url)
        self.key = self.control.credentials()["api_key"]
        self.agents = {row["hostname"]: row["agent_id"] for row in self.control.state()["agents"]}
        self._port = server.port

    def call(
        self, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None, timeout: float = 20.0
    ) -> tuple[int, str]:
        """Status and body of the answer; a dict body is sent as JSON."""
        sent = {"X-API-KEY": self.key, "Content-Type": "application/json"} if headers is None else headers
        content = body if body is None or isinstance(body, str) else json.dumps(body)
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=timeout)
        try:
            connection.request(method, path, content, sent)
            response = connection.getresponse()
            try:
                return response.status, response.read().decode(errors="replace")
            finally:
                response.close()
        finally:
            connection.close()

    def run_script(self, hostname: str, script: int = 3, **changes: Any) -> Any:
        """Run a demo script and wait; returns the parsed answer."""
        body = {"script": script, "output": "wait", "args": [], "env_vars": [], "run_as_user": False, "timeout": 5}
        status, text = self.call("POST", f"/agents/{self.agents[hostname]}/runscript/", {**body, **changes})
        assert status == 200, text
        return json.loads(text)

    def command(self, hostname: str, text: str, timeout: int = 5) -> tuple[int, Any]:
        """Run a command; returns status and parsed answer."""
        body = {"shell": "cmd", "cmd": text, "timeout": timeout, "run_as_user": False}
        status, answer = self.call("POST", f"/agents/{self.agents[hostname]}/cmd/", body)
        return status, json.loads(answer)

    def history(self, hostname: str) -> list[dict[str, Any]]:
        """The agent's history rows."""
        rows: list[dict[str, Any]] = json.loads(self.call("GET", f"/agents/{self.agents[hostname]}/history/")[1])
        return rows


@pytest.fixture
def server() -> Iterator[SandboxServer]:
    """The demo world, a hundred times faster than real."""
    with SandboxServer(create_app()) as running:
        SandboxControl(running.url).patch_state(settings={"time_scale": 0.01})
        yield running


@pytest.fixture
def caller(server: SandboxServer) -> Caller:
    """Speaks to the running simulator."""
    return Caller(server)
