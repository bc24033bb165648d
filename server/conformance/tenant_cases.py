"""Tenants: side by side, never in each other's way."""

from collections.abc import Iterator
from itertools import cycle, islice

import grpc
import pytest

from server.conformance.bench import Json
from server.conformance.calls import Asked
from server.conformance.cases import Cases, Traces
from server.conformance.judging import SUCCEEDED, is_read, told
from server.conformance.scene import Scene
from server.conformance.stage import Stage
from server.conformance.world import World
from server.contract.definitions import ActionDefinition
from server.core.registry import RegisteredModule
from server.gen.patchbay.v1 import executor_pb2

_CALLS = 100
"""Of each of two tenants, at once."""
_WRITES = 20
_READ_SECONDS = 20.0
_KEY = "the same key"


class TenantCases(Cases):
    """What one tenant does is nobody else's business."""

    @pytest.mark.usefixtures("tile")
    def test_two_tenants_do_not_meet(
        self, stage: Stage, module: RegisteredModule, world: World, other_world: World, traces: Traces
    ) -> None:
        """200 calls at once of two tenants with the same key: each has its own vendor, record and effect."""
        write = _write(module)
        effects = [traces(one).effects for one in self.actions() if write and one.definition.key == write.key]
        scenes = [Scene(stage, module, one).connect() for one in (world, other_world)]
        before = [scene.world.effects() for scene in scenes]
        asked = list(zip(*(_ask(scene) for scene in scenes), strict=True))
        ended = [[asked_both[which].execution() for asked_both in asked] for which in (0, 1)]
        for scene, executions in zip(scenes, ended, strict=True):
            assert {one.tenant for one in executions} == {scene.tenant}
            wrong = [told(one) for one in executions if not _is_fine(one)]
            assert wrong == []
            assert any(one.state == SUCCEEDED for one in executions)
        written = [[one for one in executions if one.idempotency_key] for executions in ended]
        for executions, scene, earlier in zip(written, scenes, before, strict=True):
            assert len({one.id for one in executions}) == min(1, len(executions))
            done = any(one.state == SUCCEEDED for one in executions)
            assert scene.world.effects() - earlier == (sum(effects) if done else 0)
        assert not {one.id for one in written[0]} & {one.id for one in written[1]}
        _check_vendors(scenes)
        _check_reach(scenes[0], [one.id for one in ended[1] if one.id])


def _write(module: RegisteredModule) -> ActionDefinition | None:
    return next((one for one in module.definition.actions if not is_read(one)), None)


def _ask(scene: Scene) -> Iterator[Asked]:
    """Reads give way to the write where the vendor's budget is too small for all."""
    reads, write = [one for one in scene.module.definition.actions if is_read(one)], _write(scene.module)
    writes = 0 if write is None else _WRITES if reads else _CALLS
    for action in islice(cycle(reads), _CALLS - writes):
        yield scene.ask(action, seconds=_READ_SECONDS, urgency=executor_pb2.URGENCY_BULK)
    for _ in range(writes):
        assert write is not None
        yield scene.ask(write, _KEY)


def _is_fine(execution: executor_pb2.Execution) -> bool:
    """A budget may be too small for so many calls; each tenant's is its own."""
    return execution.state == SUCCEEDED or execution.failure.reason == "BUDGET_EXHAUSTED"


def _check_vendors(scenes: list[Scene]) -> None:
    """Each vendor was asked by its own tenant only."""
    seen = [scene.world.requests() for scene in scenes]
    assert [one["path"] for requests in seen for one in requests if one["status"] in (401, 403)] == []
    signed = [{value for one in requests for value in _credentials(one)} for requests in seen]
    if not scenes[0].connection_secrets & scenes[1].connection_secrets:
        assert not signed[0] & signed[1], "a credential reached the other tenant's vendor"


def _credentials(request: Json) -> list[str]:
    """The vendor remembers credentials as digests."""
    return [value for value in request["headers"].values() if "sha256:" in value]


def _check_reach(scene: Scene, foreign: list[str]) -> None:
    """The other tenant's executions are not there for this one."""
    for id in foreign[:5]:
        request = executor_pb2.GetExecutionRequest(tenant=scene.tenant, id=id)
        with pytest.raises(grpc.RpcError) as caught:
            scene.stage.caller.call("ActionExecutor/GetExecution", request, executor_pb2.GetExecutionResponse)
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND
