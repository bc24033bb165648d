"""Level: devices, alerts, updates, automations."""

from server.gen.patchbay.modules.levelio.v1 import levelio_pb2
from server.modules.levelio import actions
from server.modules.levelio.client import LevelClient, instance_url
from server.sdk import IntegrationModule, Registrar, handlers_in, rmm_connection

MODULE = IntegrationModule[levelio_pb2.LevelIoConnection, LevelClient](
    contract=levelio_pb2.DESCRIPTOR.services_by_name["LevelIo"],
    availability=rmm_connection("levelio", "Level"),
    connect=LevelClient,
    check=LevelClient.check,
    instance_url=instance_url,
    handlers=handlers_in(actions),
)


def register(registrar: Registrar) -> None:
    """Adds the module."""
    registrar.add(MODULE)
