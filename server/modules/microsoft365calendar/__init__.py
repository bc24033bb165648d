"""Microsoft 365 Calendar: the dispatch board in technicians' calendars. It has no action and is told events."""

from server.gen.patchbay.modules.microsoft365calendar.v1 import microsoft365calendar_pb2
from server.modules.microsoft365calendar.graph import Graph
from server.modules.microsoft365calendar.sync import consume
from server.sdk import IntegrationModule, Registrar

MODULE = IntegrationModule.of(microsoft365calendar_pb2.DESCRIPTOR, Graph, consume=consume)


def register(registrar: Registrar) -> None:
    """Adds the module."""
    registrar.add(MODULE)
