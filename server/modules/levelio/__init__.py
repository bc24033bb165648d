"""Level: devices, alerts, updates, automations."""

from server.gen.patchbay.modules.levelio.v1 import levelio_pb2
from server.modules.levelio import actions
from server.modules.levelio.client import LevelClient
from server.sdk import IntegrationModule, Registrar

MODULE = IntegrationModule.of(levelio_pb2.DESCRIPTOR, LevelClient, actions)


def register(registrar: Registrar) -> None:
    """Adds the module."""
    registrar.add(MODULE)
