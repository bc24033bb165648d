"""The simulated Tactical RMM server of these tests, and what they ask of it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.client import SandboxControl
from tests.modules.tacticalrmm.world import API_KEY, OBEDIENT, ONLINE, PASSWORD, TOTP_SECRET

RUN = "tacticalrmm.agents.run_script"
PROVIDER = "tacticalrmm"


@dataclass(frozen=True)
class Tactical:
    """A simulated server."""

    url: str
    control: SandboxControl

    @property
    def by_key(self) -> dict[str, Any]:
        """Settings of a connection by API key."""
        return {"instance_url": self.url, "api_key": API_KEY}

    @property
    def by_login(self) -> dict[str, Any]:
        """Settings of a connection by user name, password and one-time code."""
        login = {"username": "careful", "password": PASSWORD, "totp_secret": TOTP_SECRET}
        return {"instance_url": self.url, "login": login}

    def runs(self, mark: str) -> int:
        """Counts the runs of a script that was given an argument."""
        items = self.control.effects(kind="run_script").items
        return sum(mark in item["detail"]["args"] for item in items)


def script(*args: str, agent: str = ONLINE, script_id: str = OBEDIENT, **more: Any) -> dict[str, Any]:
    """Returns the input of a run of the script that does what its arguments say."""
    return {"agent_id": agent, "script_id": script_id, "args": list(args), **more}


async def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Waits for something in another process."""
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(condition):
            await asyncio.sleep(0.02)
