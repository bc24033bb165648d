"""One case's own tenant, before a vendor that is as new."""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from server.conformance.bench import Json
from server.conformance.calls import SECONDS, Asked, Caller, struct
from server.conformance.stage import Stage
from server.conformance.world import World, alike, exactly
from server.contract.definitions import ActionDefinition
from server.core.registry import RegisteredAction, RegisteredModule
from server.gen.patchbay.v1 import catalog_pb2, connections_pb2, executor_pb2, identity_pb2

_LOOPBACK = connections_pb2.EgressGrant(private_networks=["127.0.0.0/8"], plain_http=True)
_PATIENCE = 60.0


def until(condition: Callable[[], object]) -> None:
    """Waits for something in another process; only a defect takes longer than the limit."""
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited {_PATIENCE:g} s for what did not come"
        time.sleep(0.02)


@dataclass(frozen=True)
class Trace:
    """One undisturbed execution of an action's first example, as a vendor that is as new sees it.

    Attributes:
        execution: How it ended.
        requests: What the vendor was asked, oldest first.
        effects: How many effects it had.
        write: The first request that could change something. None: there was none.
    """

    execution: executor_pb2.Execution
    requests: tuple[Json, ...]
    effects: int
    write: Json | None

    @property
    def match(self) -> dict[str, Any]:
        """Matches the write; where there is none, everything that the vendor is asked."""
        return exactly(self.write) if self.write else {}

    def sent(self, requests: list[Json]) -> int:
        """Counts the requests that are like the write."""
        return sum(self.write is not None and alike(one, self.write) for one in requests)


class Scene:
    """A tenant of its own, and a vendor back at its seed.

    Args:
        stage: The server.
        module: The module.
        world: The vendor; it is reset.
    """

    def __init__(self, stage: Stage, module: RegisteredModule, world: World) -> None:
        self.stage = stage
        self.module = module
        self.world = world
        world.control.reset()
        request = identity_pb2.CreateTenantRequest(slug=f"case-{uuid4().hex[:12]}")
        created = stage.caller.call("Identity/CreateTenant", request, identity_pb2.CreateTenantResponse)
        self.tenant = created.tenant.id
        self.settings: Json = {}
        self.connection_secrets: frozenset[str] = frozenset()
        self.secrets: frozenset[str] = frozenset()

    def connect(self) -> "Scene":
        """Connects the tenant to the vendor."""
        self.know(self.world.settings())
        answer = self.try_to_connect(self.settings)
        assert not answer.HasField("failure"), f"the bench's settings do not connect: {answer.failure}"
        return self

    def know(self, settings: Json) -> None:
        """Notes the settings of the connection, and all secrets that there are with it."""
        self.settings = settings
        self.connection_secrets = self.world.secrets(settings)
        self.secrets = self.connection_secrets | self.world.more_secrets()

    def try_to_connect(self, settings: Json) -> connections_pb2.ConnectResponse:
        """Connects with these settings and returns the answer."""
        request = connections_pb2.ConnectRequest(
            tenant=self.tenant,
            provider=self.module.definition.provider,
            settings=struct(settings),
            grant=_LOOPBACK,
        )
        return self.stage.caller.call("Connections/Connect", request, connections_pb2.ConnectResponse)

    def disconnect(self) -> None:
        """Switches the connection off."""
        request = connections_pb2.DisconnectRequest(tenant=self.tenant, provider=self.module.definition.provider)
        self.stage.caller.call("Connections/Disconnect", request, connections_pb2.DisconnectResponse)

    def ask(
        self,
        action: ActionDefinition,
        key: str = "",
        *,
        given: Json | None = None,
        seconds: float = SECONDS,
        caller: Caller | None = None,
        **fields: Any,
    ) -> Asked:
        """Asks for an execution, of the first example unless told otherwise."""
        request = self.request(action, key, given=given, **fields)
        caller = caller or self.stage.caller
        answer = executor_pb2.ExecuteActionResponse
        return Asked(caller.begin("ActionExecutor/ExecuteAction", request, answer, seconds=seconds))

    def execute(self, action: ActionDefinition, key: str = "", **more: Any) -> executor_pb2.Execution:
        """Executes, as `ask` does, and returns the answer."""
        return self.ask(action, key, **more).execution()

    def request(
        self, action: ActionDefinition, key: str = "", *, given: Json | None = None, **fields: Any
    ) -> executor_pb2.ExecuteActionRequest:
        """Returns the request that `ask` makes."""
        payload = executor_pb2.Payload(json=struct(example_of(action) if given is None else given))
        return executor_pb2.ExecuteActionRequest(
            tenant=self.tenant, action=action.id, version=action.version, input=payload, idempotency_key=key, **fields
        )

    def recorded(self, key: str, *, wait: float = 0.0) -> executor_pb2.Execution:
        """Returns the execution with that key, waiting for its end when told to."""
        request = executor_pb2.GetExecutionRequest(tenant=self.tenant, idempotency_key=key)
        request.wait.FromMilliseconds(round(wait * 1000))
        answer = self.stage.caller.call("ActionExecutor/GetExecution", request, executor_pb2.GetExecutionResponse)
        return answer.execution

    def stored(self) -> int:
        """Counts the tenant's executions."""
        (row,) = self.stage.rows("SELECT count(*) FROM workflow_action_invocations WHERE tenant = $1", self.tenant)
        return int(row[0])

    def violations(self, action: ActionDefinition, given: Json) -> list[executor_pb2.FieldViolation]:
        """Returns what is wrong with an input; nothing is executed."""
        request = executor_pb2.ValidateActionRequest(call=self.request(action, given=given))
        answer = self.stage.caller.call("ActionExecutor/ValidateAction", request, executor_pb2.ValidateActionResponse)
        return list(answer.violations)

    def options(self, action: ActionDefinition, field: str, query: str = "") -> catalog_pb2.ListFieldOptionsResponse:
        """Returns the choices of a field, the others filled in as in the first example."""
        request = catalog_pb2.ListFieldOptionsRequest(
            tenant=self.tenant,
            action=action.id,
            version=action.version,
            field=field,
            query=query,
            inputs=struct(example_of(action)),
        )
        return self.stage.caller.call("Catalog/ListFieldOptions", request, catalog_pb2.ListFieldOptionsResponse)

    def trace(self, action: RegisteredAction) -> Trace:
        """Executes an action undisturbed and returns what the vendor saw."""
        before, effects = self.world.seen(), self.world.effects()
        execution = self.execute(action.definition, "undisturbed")
        requests = tuple(self.world.requests(before))
        write = None
        if execution.HasField("send_time"):
            sent = execution.send_time.ToNanoseconds() / 1e9
            write = next((one for one in requests if one["at"] >= sent), None)
        return Trace(execution, requests, self.world.effects() - effects, write)


def example_of(action: ActionDefinition) -> Json:
    """Returns an action's first example."""
    assert action.examples, f"{action.id} has no `example_inputs`: the suite needs one that works in the vendor's seed"
    return copy.deepcopy(action.examples[0])
