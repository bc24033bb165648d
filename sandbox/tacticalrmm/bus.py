"""The message bus between server and agents, and the machines at its other end."""

import asyncio
from collections.abc import Callable

from sandbox.tacticalrmm.models import Agent
from sandbox.tacticalrmm.wire import Crash
from sandbox.tacticalrmm.world import World

DOWN = "natsdown"
TIMEOUT = "timeout"


class Bus:
    """Requests from the server to an agent.

    Failures are the two words the real server passes around: `natsdown` when it cannot reach the bus, `timeout` when
    the agent did not answer in time.
    """

    def __init__(self, world: World) -> None:
        self._world = world

    def _seconds(self, simulated: float) -> float:
        return max(0.0, simulated) * self._world.settings.time_scale

    async def _fails(self, agent: Agent, limit: float) -> str | None:
        settings = self._world.settings
        if settings.nats == "down":
            await asyncio.sleep(self._seconds(settings.nats_connect_seconds))
            return DOWN
        if agent.answers:
            return None
        if settings.nats == "no_subscriber":
            raise Crash
        await asyncio.sleep(self._seconds(limit))
        return TIMEOUT

    async def ask(
        self,
        agent: Agent,
        limit: float,
        *,
        seconds: float = 0.0,
        started: Callable[[], None],
        ended: Callable[[], None],
    ) -> str | None:
        """Let an agent do something and wait for it.

        Args:
            agent: Who.
            limit: Simulated seconds the server waits.
            seconds: Simulated seconds the work takes.
            started: Called when the agent begins, which it does at most once.
            ended: Called when it is done, even when nobody waits any more.

        Returns:
            None when it answered in time, else `natsdown` or `timeout`.

        Raises:
            Crash: Nobody is subscribed at the bus at all.
        """
        if limit < 0:
            return TIMEOUT
        failure = await self._fails(agent, limit)
        if failure is not None:
            return failure
        started()
        total = seconds + (agent.slow_seconds if agent.state == "slow" else 0.0)
        if total <= 0:
            ended()
            return None
        work = self._world.background(self._work(total, ended))
        if total < limit:
            await asyncio.wait({work})
            return None
        await asyncio.sleep(self._seconds(limit))
        return TIMEOUT

    async def tell(
        self, agent: Agent, *, seconds: float = 0.0, started: Callable[[], None], ended: Callable[[], None]
    ) -> None:
        """Send without waiting for an answer; nothing happens when the agent or the bus is away."""
        settings = self._world.settings
        if settings.nats == "down":
            await asyncio.sleep(self._seconds(settings.nats_connect_seconds))
        elif agent.answers:
            started()
            slow = agent.slow_seconds if agent.state == "slow" else 0.0
            self._world.background(self._work(seconds + slow, ended))

    async def _work(self, seconds: float, ended: Callable[[], None]) -> None:
        await asyncio.sleep(self._seconds(seconds))
        ended()

    def after(self, seconds: float, then: Callable[[], None]) -> None:
        """Do something after simulated seconds; at once when there are none."""
        if seconds <= 0:
            then()
        else:
            self._world.background(self._work(seconds, then))

    async def request(self, agent: Agent, limit: float) -> str | None:
        """Ask for something that takes an agent no time. Returns as `ask`."""
        return await self.ask(agent, limit, started=lambda: None, ended=lambda: None)
