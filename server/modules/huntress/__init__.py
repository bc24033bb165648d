"""Huntress: incident reports, organizations, agents."""

from server.gen.patchbay.modules.huntress.v1 import huntress_pb2
from server.modules.huntress import actions
from server.modules.huntress.client import HuntressClient, instance_url
from server.sdk import IntegrationModule, Registrar, handlers_in, rmm_connection

MODULE = IntegrationModule[huntress_pb2.HuntressConnection, HuntressClient](
    contract=huntress_pb2.DESCRIPTOR.services_by_name["Huntress"],
    availability=rmm_connection("huntress", "Huntress"),
    connect=HuntressClient,
    check=HuntressClient.check,
    instance_url=instance_url,
    handlers=handlers_in(actions),
    probes={"huntress.incidents.resolve": actions.probe_resolution},
)


def register(registrar: Registrar) -> None:
    """Adds the module."""
    registrar.add(MODULE)
