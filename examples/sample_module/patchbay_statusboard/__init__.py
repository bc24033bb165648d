"""Statusboard: components and incidents."""

from importlib import resources

from server.sdk import IntegrationModule, Registrar, handlers_in, rmm_connection

from patchbay_statusboard import actions
from patchbay_statusboard.client import StatusboardClient
from patchbay_statusboard.gen.statusboard.v1 import statusboard_pb2 as pb

MODULE = IntegrationModule[pb.StatusboardConnection, StatusboardClient](
    contract=pb.DESCRIPTOR.services_by_name["Statusboard"],
    availability=rmm_connection("statusboard", "Statusboard"),
    connect=StatusboardClient,
    check=StatusboardClient.check,
    instance_url=lambda settings: settings.instance_url.rstrip("/"),
    handlers=handlers_in(actions),
    probes={"statusboard.incidents.open": actions.probe_open_incident},
    descriptor_set=(resources.files(__name__) / "gen" / "descriptors.binpb").read_bytes(),
)


def register(registrar: Registrar) -> None:
    """Adds the module."""
    registrar.add(MODULE)
