"""A call of an action, as it leaves the edge."""

from dataclasses import dataclass, field

from server.core.caller import Caller
from server.gen.patchbay.v1 import executor_pb2
from server.sdk.context import Deadline

InFlight = executor_pb2.InFlightMode
Urgency = executor_pb2.Urgency


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call.

    Attributes:
        tenant: The tenant's id, resolved and allowed for the caller.
        input: The payload as sent; None is an empty one.
        deadline: When the caller stops waiting. None: it did not say.
        typed: Whether the output is wanted as bytes of the typed message.
    """

    caller: Caller
    tenant: str
    action: str
    version: int = 0
    input: executor_pb2.Payload | None = None
    key: str = ""
    run: executor_pb2.RunContext = field(default_factory=executor_pb2.RunContext)
    actor: str = ""
    in_flight: executor_pb2.InFlightMode.ValueType = InFlight.IN_FLIGHT_MODE_ATTACH
    urgency: executor_pb2.Urgency.ValueType = Urgency.URGENCY_INTERACTIVE
    deadline: Deadline | None = None
    typed: bool = False
