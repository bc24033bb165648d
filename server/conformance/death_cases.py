"""kill -9 of a server at the worst moment: the vendor has the write, the server not yet its answer."""

from contextlib import ExitStack, closing
from dataclasses import dataclass

import grpc
import pytest

from server.conformance.bench import Bench
from server.conformance.calls import Asked
from server.conformance.cases import Cases, Traces
from server.conformance.judging import (
    RUNNING,
    SUCCEEDED,
    UNKNOWN,
    check_doubtful,
    check_manners,
    is_keyless,
    is_read,
    told,
)
from server.conformance.scene import Scene, Trace, until
from server.conformance.stage import Process, Stage
from server.conformance.world import World
from server.contract.definitions import EffectClass
from server.core.registry import RegisteredAction, RegisteredModule
from server.gen.patchbay.v1 import executor_pb2

_KEY = "run-1/step-1"
_PROBES = "SELECT probes FROM workflow_action_invocations WHERE tenant = $1"


@dataclass(frozen=True)
class Victim:
    """A call that the dead server was working on."""

    action: RegisteredAction
    undisturbed: Trace
    scene: Scene
    asked: Asked

    @property
    def effects(self) -> int:
        """How many effects it had."""
        return self.scene.world.effects()

    def is_held(self) -> bool:
        """Whether the vendor has its write."""
        return self.scene.world.suffered("hang")

    def recorded(self) -> executor_pb2.Execution:
        """The record, as the servers that live tell it."""
        return self.scene.recorded(_KEY)

    def probed(self) -> bool:
        """Whether a probe has had its first look, or nothing is in doubt."""
        (row,) = self.scene.stage.rows(_PROBES, self.scene.tenant)
        return self.action.probe is None or self.recorded().state != UNKNOWN or row["probes"] > 0


class DeathCases(Cases):
    """What a dead server leaves behind is settled by the living, without a second effect."""

    def test_kill_9_at_the_send(self, stage: Stage, module: RegisteredModule, traces: Traces) -> None:
        """Every write at once, each with the effect done and not done: the outcome is the truth or UNKNOWN."""
        known = {one: traces(one) for one in self.actions() if not is_read(one.definition)}
        if not known:
            pytest.skip("the module writes nothing")
        with ExitStack() as stack:
            doomed = stage.another()
            stack.callback(doomed.kill)
            victims = [
                self._victim(stage, module, doomed, stack, action, undisturbed, after=after)
                for action, undisturbed in known.items()
                for after in (True, False)
            ]
            for one in victims:
                until(one.is_held)
            doomed.kill()
            for one in victims:
                with pytest.raises(grpc.RpcError):
                    one.asked.execution()
            for one in victims:
                _check(one)

    def _victim(
        self,
        stage: Stage,
        module: RegisteredModule,
        doomed: Process,
        stack: ExitStack,
        action: RegisteredAction,
        undisturbed: Trace,
        *,
        after: bool,
    ) -> Victim:
        assert isinstance(self.bench, Bench)
        world = stack.enter_context(closing(World(self.bench, module)))
        scene = Scene(stage, module, world).connect()
        world.control.add_fault("hang", after=after, **undisturbed.match)
        return Victim(action, undisturbed, scene, scene.ask(action.definition, _KEY, caller=doomed.caller))


def _check(victim: Victim) -> None:
    action = victim.action.definition
    until(lambda: victim.recorded().state != RUNNING)
    until(victim.probed)
    recorded, happened = victim.recorded(), victim.effects
    check_manners(action, recorded)
    check_doubtful(action, recorded, effects=happened, usual=victim.undisturbed.effects)
    again = victim.scene.execute(action, _KEY)
    if recorded.failure.retryable:
        assert (again.state, again.attempt) == (SUCCEEDED, 2), told(again)
    else:
        assert (again.id, again.replayed) == (recorded.id, True), told(again)
    if is_keyless(action):
        assert victim.effects == happened <= victim.undisturbed.effects
    elif action.effect == EffectClass.EFFECT_CLASS_VENDOR_KEYED:
        assert victim.effects == victim.undisturbed.effects
