"""NinjaOne: devices, scripts, alerts."""

from server.gen.patchbay.modules.ninjaone.v1 import ninjaone_pb2
from server.modules.ninjaone import actions, runs
from server.modules.ninjaone.client import NinjaClient
from server.modules.ninjaone.connection import sign_in
from server.sdk import IntegrationModule, Registrar

MODULE = IntegrationModule.of(ninjaone_pb2.DESCRIPTOR, NinjaClient, actions, runs, sign_in=sign_in)


def register(registrar: Registrar) -> None:
    """Adds the module."""
    registrar.add(MODULE)
