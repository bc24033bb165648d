"""One connection to Microsoft Teams: the bot, Graph, and what is switched off."""

from server.gen.patchbay.modules.teams.v1.teams_pb2 import TeamsConnection
from server.modules.teams.bot import Bot
from server.modules.teams.connection import instance_url
from server.modules.teams.graph import Graph
from server.sdk import ActionFailure, ConnectionScope


class TeamsClient:
    """The bot and Graph for one tenant.

    Args:
        scope: The connection; sends nothing yet.

    Attributes:
        settings: Settings of the connection.
        bot: The Bot Connector.
        graph: Microsoft Graph.
    """

    instance_url = staticmethod(instance_url)

    def __init__(self, scope: ConnectionScope[TeamsConnection]) -> None:
        self.settings = scope.settings
        self.bot = Bot(scope)
        self.graph = Graph(scope)

    async def check(self) -> None:
        """Proves both credentials. Raises ActionFailure when one is not accepted."""
        await self.bot.check()
        await self.graph.check()

    def demand(self, capability: str) -> None:
        """Raises CAPABILITY_DISABLED for what the connection switches off."""
        if capability in self.settings.disabled_capabilities:
            raise ActionFailure("CAPABILITY_DISABLED", f"`{capability}` is switched off in the connection to Teams.")
