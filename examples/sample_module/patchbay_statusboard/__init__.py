"""Statusboard: components and incidents."""

from importlib import resources

from server.sdk import IntegrationModule, Registrar

from patchbay_statusboard import actions
from patchbay_statusboard.client import StatusboardClient
from patchbay_statusboard.gen.statusboard.v1 import statusboard_pb2 as pb

MODULE = IntegrationModule.of(
    pb.DESCRIPTOR,
    StatusboardClient,
    actions,
    descriptor_set=(resources.files(__name__) / "gen" / "descriptors.binpb").read_bytes(),
)


def register(registrar: Registrar) -> None:
    """Adds the module."""
    registrar.add(MODULE)
