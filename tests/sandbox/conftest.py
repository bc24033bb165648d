"""A running simulator for each test, and ways to speak to it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.client import SandboxControl
from sandbox.ninjaone import create_app as create_ninja
from sandbox.serving import SandboxServer
from sandbox.tacticalrmm import create_app
from sandbox.teams import create_app as create_teams
from tests.sandbox.ninja_caller import NinjaCaller
from tests.sandbox.teams_bot import Received, listening
from tests.sandbox.teams_caller import TeamsCaller
from tests.support.web import fetch


class Caller:
    """Blocking requests to the simulated vendor, each on a connection of its own."""

    def __init__(self, server: SandboxServer) -> None:
        self._url = server.url
        self.control = SandboxControl(server.url)
        self.key = self.control.credentials()["api_key"]
        self.agents = {row["hostname"]: row["agent_id"] for row in self.control.state()["agents"]}

    def call(
        self, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None, timeout: float = 20.0
    ) -> tuple[int, str]:
        """Status and body of the answer; a dict body is sent as JSON."""
        sent = {"X-API-KEY": self.key, "Content-Type": "application/json"} if headers is None else headers
        answer = fetch(self._url, method, path, body, sent, timeout=timeout)
        return answer.status, answer.text

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


@pytest.fixture
def teams() -> Iterator[TeamsCaller]:
    """Speaks to the demo world of Teams, which has no limits."""
    with SandboxServer(create_teams()) as running:
        caller = TeamsCaller(running)
        caller.control.patch_state(settings={"limits": False})
        yield caller


@pytest.fixture
def bot() -> Iterator[Received]:
    """A bot that listens."""
    with listening() as received:
        yield received


@pytest.fixture
def ninja() -> Iterator[NinjaCaller]:
    """Speaks to the demo world of NinjaOne, a hundred times faster than real."""
    with SandboxServer(create_ninja()) as running:
        caller = NinjaCaller(running)
        caller.control.patch_state(settings={"time_scale": 0.01})
        yield caller
