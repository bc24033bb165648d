"""Tactical RMM for the conformance suite: the demo world, where time passes fast and histories are watched closely."""

from dataclasses import replace

from sandbox.control import Sandbox, seed_of
from sandbox.tacticalrmm import create_app, demo_connection
from server.conformance.bench import Bench
from server.gen.patchbay.modules.tacticalrmm.v1.tacticalrmm_pb2 import TacticalRmmConnection
from server.modules.tacticalrmm import MODULE
from server.modules.tacticalrmm.client import TacticalClient
from server.modules.tacticalrmm.connection import Pace
from server.sdk import ConnectionScope, Registrar

QUICK = Pace(settle=0.4, grace=0.0, first=0.02, longest=0.1)


def _connect(scope: ConnectionScope[TacticalRmmConnection]) -> TacticalClient:
    client = TacticalClient(scope)
    client.pace = QUICK
    return client


def register(registrar: Registrar) -> None:
    """Adds the module, in a hurry."""
    registrar.add(replace(MODULE, connect=_connect))


def vendor() -> Sandbox:
    """The demo world with 100 of its seconds in one of ours."""
    seed = seed_of("tacticalrmm")
    return create_app({**seed, "settings": {**seed["settings"], "time_scale": 0.01}})


BENCH = Bench(provider="tacticalrmm", vendor=vendor, settings=demo_connection, register=register)
