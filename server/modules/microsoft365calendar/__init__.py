"""Microsoft 365 Calendar: the dispatch board in technicians' calendars. It has no action and is told events."""

from server.gen.patchbay.modules.microsoft365calendar.v1 import microsoft365calendar_pb2 as pb
from server.modules.microsoft365calendar.connection import instance_url
from server.modules.microsoft365calendar.graph import Graph
from server.modules.microsoft365calendar.sync import consume
from server.sdk import IntegrationModule, Registrar, rmm_connection

MODULE = IntegrationModule[pb.Microsoft365CalendarConnection, Graph](
    contract=pb.DESCRIPTOR.services_by_name["Microsoft365Calendar"],
    availability=rmm_connection("microsoft365calendar", "Microsoft 365 Calendar"),
    connect=Graph,
    check=Graph.check,
    instance_url=instance_url,
    handlers=(),
    consume=consume,
)


def register(registrar: Registrar) -> None:
    """Adds the module."""
    registrar.add(MODULE)
