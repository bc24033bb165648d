"""Huntress: incident reports, organizations, agents."""

from server.gen.patchbay.modules.huntress.v1 import huntress_pb2
from server.modules.huntress import actions
from server.modules.huntress.client import HuntressClient
from server.sdk import IntegrationModule, Registrar

MODULE = IntegrationModule.of(huntress_pb2.DESCRIPTOR, HuntressClient, actions)


def register(registrar: Registrar) -> None:
    """Adds the module."""
    registrar.add(MODULE)
