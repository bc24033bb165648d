"""Microsoft Teams: activity notifications, direct messages, posts in channels."""

from server.gen.patchbay.modules.teams.v1 import teams_pb2
from server.modules.teams import actions
from server.modules.teams.client import TeamsClient
from server.modules.teams.connection import instance_url
from server.sdk import IntegrationModule, Registrar, handlers_in, installed_addon

MODULE = IntegrationModule[teams_pb2.TeamsConnection, TeamsClient](
    contract=teams_pb2.DESCRIPTOR.services_by_name["Teams"],
    availability=installed_addon("teams", "Microsoft Teams"),
    connect=TeamsClient,
    check=TeamsClient.check,
    instance_url=instance_url,
    handlers=handlers_in(actions),
)


def register(registrar: Registrar) -> None:
    """Adds the module."""
    registrar.add(MODULE)
