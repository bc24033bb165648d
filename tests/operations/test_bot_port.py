"""`patchbay serve --workers 2 --bot-port`: every worker listens for Teams, and nobody else on the port."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from sandbox.client import SandboxControl
from sandbox.serving import SandboxServer
from sandbox.teams import bases, create_app, demo_connection
from tests.modules.teams.world import DANA
from tests.operations.service import Apart, Service, alive, service
from tests.operations.tactical import until
from tests.support.ports import free_port
from tests.support.served import set_up

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Stage:
    """Two workers on a bot port, a connected tenant, and Teams."""

    service: Service
    teams: SandboxControl
    bot_port: int

    async def tell(self, times: int) -> list[int]:
        """Lets Teams tell of as many messages, over a connection each; returns the statuses that it got."""
        return [status for _ in range(times) for status in await asyncio.to_thread(self._told)]

    def _told(self) -> list[int]:
        url = f"http://127.0.0.1:{self.bot_port}/api/messages"
        sent = self.teams.order("inbound", bot_url=url, event="message", user=DANA)
        return [one["status"] for one in sent["sent"]]

    async def counted(self, table: str) -> int:
        """How many rows a table has."""
        connection = await asyncpg.connect(self.service.postgres.dsn)
        try:
            await connection.execute("SELECT set_config('patchbay.tenant', '*', false)")
            return int(await connection.fetchval(f"SELECT count(*) FROM {table}"))
        finally:
            await connection.close()


@pytest.fixture
def simulator() -> Iterator[SandboxServer]:
    """Microsoft's services."""
    with SandboxServer(create_app()) as running:
        yield running


@pytest.fixture
async def stage(folder: Path, simulator: SandboxServer) -> AsyncIterator[Stage]:
    """The stage."""
    control, bot_port = SandboxControl(simulator.url), free_port()
    options = ("--workers", "2", "--bot-port", str(bot_port))
    settings = {"listen": f"127.0.0.1:{free_port()}", "bot_identity_url": bases(simulator.url)["identity"]}
    with service(folder, *options, **settings) as running:
        caller = Apart(running.serving(2).target, running.key)
        await set_up(caller, "teams", demo_connection(simulator.url, control.credentials()))
        await caller.close()
        yield Stage(running, control, bot_port)


async def test_every_worker_listens_and_one_is_enough(stage: Stage) -> None:
    """Both say so; what Teams tells is stored, also while one of them is dead, and what is refused is not."""
    assert {one["target"] for one in stage.service.events("serving HTTP")} == {f"127.0.0.1:{stage.bot_port}"}
    assert len(stage.service.events("serving HTTP")) == 2
    assert await stage.tell(12) == [200] * 12
    victim = min(stage.service.workers())
    os.kill(victim, signal.SIGKILL)
    await until(lambda: not alive(victim))
    assert await stage.tell(6) == [200] * 6
    assert await stage.counted("teams_bot_activities") == 18
    assert await stage.counted("teams_conversation_references") == 1
    await asyncio.to_thread(stage.service.wait_for, "serving HTTP", 3)
    assert await stage.tell(6) == [200] * 6
    assert stage.service.end() == 0


async def test_the_bot_port_belongs_to_one_server(stage: Stage, folder: Path) -> None:
    """Another server with workers on the same bot port does not start, and says which address is taken."""
    taken = f"127.0.0.1:{stage.bot_port}"
    with service(folder / "other", listen=f"127.0.0.1:{free_port()}", bot_listen=taken, workers=2) as other:
        assert await asyncio.to_thread(other.process.wait, 60) != 0
        assert f"cannot listen on {taken}" in other.log.read_text()
    assert await stage.tell(1) == [200]
