"""Scheduling: the dispatch board of this installation."""

from typing import Any

from server.gen.patchbay.modules.scheduling.v1 import scheduling_pb2
from server.modules.scheduling import actions, choices, reading
from server.sdk import IntegrationModule, Registrar, handlers_in

MODULE = IntegrationModule[Any, None](
    contract=scheduling_pb2.DESCRIPTOR.services_by_name["Scheduling"],
    handlers=handlers_in(actions, reading, choices),
)


def register(registrar: Registrar) -> None:
    """Adds the module."""
    registrar.add(MODULE)
