"""What happens before a claim: permission, key, input, availability, connection (rules 3 and 6)."""

from dataclasses import dataclass
from typing import Protocol

from google.protobuf.message import Message

from server.contract import payload
from server.contract.definitions import ActionDefinition
from server.contract.problems import PayloadInvalid, Violation
from server.core.calls import Call
from server.core.connections import ActiveConnection
from server.core.records import EffectClass
from server.core.refusals import FieldViolation, Refusal
from server.core.registry import RegisteredAction, RegisteredModule, Registry
from server.gen.patchbay.v1 import executor_pb2
from server.sdk.availability import Verdict
from server.sdk.failures import ActionFailure

_MARGIN, _MOST_MARGIN = 0.2, 0.1


class Availabilities(Protocol):
    """Whether a tenant can use a module now."""

    async def one(self, tenant: str, module: RegisteredModule) -> Verdict:
        """Returns the verdict, cached briefly."""


class ConnectionSource(Protocol):
    """The vendor clients of tenants."""

    async def client(self, tenant: str, module: RegisteredModule) -> ActiveConnection:
        """Returns the tenant's client; raises ActionFailure when there is none."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A call that is allowed and valid."""

    call: Call
    action: RegisteredAction
    request: Message

    @property
    def definition(self) -> ActionDefinition:
        """The action's contract."""
        return self.action.definition

    @property
    def remaining(self) -> float | None:
        """Seconds until the answer is due: the caller's deadline less the way back. None: it did not say."""
        if self.call.deadline is None:
            return None
        left = self.call.deadline.remaining()
        return left - min(_MARGIN, left * _MOST_MARGIN)

    @property
    def is_read(self) -> bool:
        """True when the action changes nothing."""
        return self.definition.effect == EffectClass.EFFECT_CLASS_READ


class Preparation:
    """Checks calls."""

    def __init__(
        self,
        registry: Registry,
        availabilities: Availabilities,
        connections: ConnectionSource,
        *,
        max_input_bytes: int,
    ) -> None:
        self._registry = registry
        self._availabilities = availabilities
        self._connections = connections
        self._max_input_bytes = max_input_bytes

    def check(self, call: Call, *, key_required: bool = True) -> Checked:
        """Checks permission, key and input, in this order; raises Refusal."""
        action = self._registry.action(call.action, call.version)
        call.caller.demand(action.definition.permission)
        if key_required and not call.key and action.definition.effect != EffectClass.EFFECT_CLASS_READ:
            violation = FieldViolation("idempotency_key", "is required for an action that changes something")
            raise Refusal(
                "IDEMPOTENCY_KEY_REQUIRED",
                f"`{call.action}` changes something, so the call needs an idempotency key.",
                violations=[violation],
            )
        return Checked(call, action, self._read_input(call.input, action.definition))

    async def connect(self, checked: Checked) -> ActiveConnection | None:
        """Checks that the module is available; returns the tenant's connection, None when the module needs none.

        Raises:
            ActionFailure: The module cannot be used now. Nothing has been stored.
        """
        module = checked.action.module
        verdict = await self._availabilities.one(checked.call.tenant, module)
        if not verdict.available:
            raise ActionFailure(verdict.reason, verdict.message, remedy=verdict.remedy)
        if module.definition.connection is None:
            return None
        return await self._connections.client(checked.call.tenant, module)

    def _read_input(self, given: executor_pb2.Payload | None, action: ActionDefinition) -> Message:
        encoding = given.WhichOneof("encoding") if given else None
        if given is not None and given.ByteSize() > self._max_input_bytes:
            raise Refusal(
                "INPUT_TOO_LARGE",
                f"The input has {given.ByteSize():,} bytes; at most {self._max_input_bytes:,} are accepted.",
                violations=[FieldViolation("input", f"must not exceed {self._max_input_bytes:,} bytes")],
            )
        try:
            if given is None or encoding is None:
                return payload.parse_json(action.input, {})
            if encoding == "json":
                return payload.parse_struct(action.input, given.json)
            return payload.parse_bytes(action.input, given.proto)
        except PayloadInvalid as invalid:
            raise input_refusal(invalid.violations) from None


def input_refusal(violations: tuple[Violation, ...], prefix: str = "input") -> Refusal:
    """Returns the refusal of an invalid input, with the field paths under `prefix`."""
    found = [FieldViolation(_under(prefix, one.field), one.message, one.rule) for one in violations]
    told = "; ".join(f"{one.field}: {one.message}" for one in found[:5])
    return Refusal("INPUT_INVALID", f"The input is not valid. {told}", violations=found)


def _under(prefix: str, field: str) -> str:
    return f"{prefix}.{field}" if field else prefix
