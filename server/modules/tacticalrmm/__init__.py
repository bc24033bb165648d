"""Tactical RMM: agents, scripts, commands, reboots."""

from server.gen.patchbay.modules.tacticalrmm.v1 import tacticalrmm_pb2
from server.modules.tacticalrmm import actions, runs
from server.modules.tacticalrmm.client import TacticalClient
from server.sdk import IntegrationModule, Registrar

MODULE = IntegrationModule.of(tacticalrmm_pb2.DESCRIPTOR, TacticalClient, actions, runs)


def register(registrar: Registrar) -> None:
    """Adds the module."""
    registrar.add(MODULE)
