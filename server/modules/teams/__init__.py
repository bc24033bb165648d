"""Microsoft Teams: activity notifications, direct messages, posts in channels."""

from server.gen.patchbay.modules.teams.v1 import teams_pb2
from server.modules.teams import actions
from server.modules.teams.client import TeamsClient
from server.sdk import IntegrationModule, Registrar, installed_addon

MODULE = IntegrationModule.of(
    teams_pb2.DESCRIPTOR, TeamsClient, actions, availability=installed_addon("teams", "Microsoft Teams")
)


def register(registrar: Registrar) -> None:
    """Adds the module."""
    registrar.add(MODULE)
