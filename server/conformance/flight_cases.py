"""What is under way: calls that attach to it, and callers that leave."""

import grpc
import pytest

from server.conformance.calls import SECONDS, Asked
from server.conformance.cases import Cases, Traces
from server.conformance.judging import FAILED, NONE, RUNNING, SUCCEEDED, check_manners, is_read, told
from server.conformance.key_cases import KEY
from server.conformance.scene import Scene, Trace, until
from server.conformance.stage import Stage
from server.conformance.world import World
from server.contract.definitions import ActionDefinition
from server.core.registry import RegisteredAction, RegisteredModule
from server.gen.patchbay.v1 import executor_pb2

_SHORT, _READ_SECONDS = 1.0, 4.0


class FlightCases(Cases):
    """What is promised of calls whose vendor takes its time holds for every action."""

    def test_calls_attach_to_what_is_in_flight(self, write: RegisteredAction, undisturbed: Trace, scene: Scene) -> None:
        """While the vendor takes its time, a second call waits for the first one's answer, or is told that it runs."""
        action = write.definition
        first = _held(scene, undisturbed, action)
        attached = scene.ask(action, KEY)
        running = scene.execute(action, KEY, in_flight=executor_pb2.IN_FLIGHT_MODE_RETURN)
        with pytest.raises(grpc.RpcError) as caught:
            scene.execute(action, KEY, in_flight=executor_pb2.IN_FLIGHT_MODE_FAIL)
        assert (running.state, running.replayed) == (RUNNING, True), told(running)
        assert caught.value.code() == grpc.StatusCode.ABORTED
        assert [first.answered, attached.answered] == [False, False]
        scene.world.control.clear_faults()
        one, other = first.execution(), attached.execution()
        assert (one.state, one.replayed) == (SUCCEEDED, False), told(one)
        assert (other.id, other.replayed, other.output) == (running.id, True, one.output)
        assert scene.world.effects() == undisturbed.effects

    def test_a_write_outlives_its_callers_deadline(
        self, write: RegisteredAction, undisturbed: Trace, scene: Scene
    ) -> None:
        """A caller whose time is over is told that it runs; it ends, once, and is found by its key."""
        action = write.definition
        left = _held(scene, undisturbed, action, seconds=_SHORT).in_time()
        assert left is None or left.state == RUNNING, left  # None: this machine is too busy to answer in time
        scene.world.control.clear_faults()
        ended = scene.recorded(KEY, wait=30.0)
        assert ended.state == SUCCEEDED, told(ended)
        assert scene.world.effects() == undisturbed.effects

    def test_reads_end_with_their_callers_deadline(
        self, traces: Traces, stage: Stage, module: RegisteredModule, world: World
    ) -> None:
        """READ actions whose vendor hangs are answered with a failure before their caller's time is over."""
        reads = [(one.definition, traces(one)) for one in self.actions() if is_read(one.definition)]
        scene = Scene(stage, module, world).connect()
        world.control.add_fault("hang", times=0, after=False)
        asked = [scene.ask(action, seconds=_READ_SECONDS) for action, _ in reads]
        for (action, undisturbed), one in zip(reads, asked, strict=True):
            execution = one.execution()
            check_manners(action, execution)
            wanted = (FAILED, NONE, True) if undisturbed.requests else (SUCCEEDED, 0, False)
            failure = execution.failure
            assert (execution.state, failure.effect, failure.retryable) == wanted, told(execution)


def _held(scene: Scene, undisturbed: Trace, action: ActionDefinition, seconds: float = SECONDS) -> Asked:
    """Asks for an execution whose write the vendor holds, and returns when the vendor has it."""
    assert undisturbed.requests, "the first example asks no vendor"
    scene.world.control.add_fault("hang", **undisturbed.match)
    asked = scene.ask(action, KEY, seconds=seconds)
    until(lambda: scene.world.suffered("hang"))
    return asked
