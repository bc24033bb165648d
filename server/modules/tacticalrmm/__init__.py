"""Tactical RMM: agents, scripts, commands, reboots."""

from server.gen.patchbay.modules.tacticalrmm.v1 import tacticalrmm_pb2
from server.modules.tacticalrmm import actions
from server.modules.tacticalrmm.client import TacticalClient, connect
from server.modules.tacticalrmm.connection import instance_url
from server.modules.tacticalrmm.runs import probe_script_run
from server.sdk import IntegrationModule, Registrar, handlers_in, rmm_connection

MODULE = IntegrationModule[tacticalrmm_pb2.TacticalRmmConnection, TacticalClient](
    contract=tacticalrmm_pb2.DESCRIPTOR.services_by_name["TacticalRmm"],
    availability=rmm_connection("tacticalrmm", "Tactical RMM"),
    connect=connect,
    check=TacticalClient.check,
    instance_url=instance_url,
    handlers=handlers_in(actions),
    probes={"tacticalrmm.agents.run_script": probe_script_run},
)


def register(registrar: Registrar) -> None:
    """Adds the module."""
    registrar.add(MODULE)
