"""NinjaOne: devices, scripts, alerts."""

from server.gen.patchbay.modules.ninjaone.v1 import ninjaone_pb2
from server.modules.ninjaone import actions
from server.modules.ninjaone.client import NinjaClient, connect
from server.modules.ninjaone.connection import instance_url, sign_in
from server.modules.ninjaone.runs import probe_script_run
from server.sdk import IntegrationModule, Registrar, handlers_in, rmm_connection

MODULE = IntegrationModule[ninjaone_pb2.NinjaOneConnection, NinjaClient](
    contract=ninjaone_pb2.DESCRIPTOR.services_by_name["NinjaOne"],
    availability=rmm_connection("ninjaone", "NinjaOne"),
    connect=connect,
    check=NinjaClient.check,
    instance_url=instance_url,
    sign_in=sign_in,
    handlers=handlers_in(actions),
    probes={"ninjaone.devices.run_script": probe_script_run},
)


def register(registrar: Registrar) -> None:
    """Adds the module."""
    registrar.add(MODULE)
