"""Keys: one effect for one key, whoever asks and however often."""

import json
from collections.abc import Iterator

import grpc
import pytest

from server.conformance.bench import Json
from server.conformance.calls import SECONDS, Asked
from server.conformance.cases import Cases, Traces
from server.conformance.judging import FAILED, NONE, RUNNING, SUCCEEDED, check_manners, is_read, told
from server.conformance.scene import Scene, Trace, example_of, until
from server.conformance.stage import Stage
from server.conformance.world import World
from server.contract.definitions import ActionDefinition
from server.core.registry import RegisteredAction, RegisteredModule
from server.gen.patchbay.v1 import executor_pb2

KEY = "run-1/step-1"
_SHORT, _READ_SECONDS = 1.0, 4.0


class KeyCases(Cases):
    """What is promised of idempotency keys and deadlines holds for every action."""

    def test_a_key_is_replayed(self, write: RegisteredAction, undisturbed: Trace, scene: Scene) -> None:
        """The same call again is answered from the record, and the vendor hears nothing."""
        action = write.definition
        first = scene.execute(action, KEY)
        seen = scene.world.seen()
        again = scene.execute(action, KEY)
        assert (first.state, first.replayed) == (SUCCEEDED, False), told(first)
        assert (again.id, again.replayed, again.output) == (first.id, True, first.output)
        assert (scene.world.seen(), scene.world.effects()) == (seen, undisturbed.effects)

    def test_a_key_is_for_one_input(self, write: RegisteredAction, undisturbed: Trace, scene: Scene) -> None:
        """The same key with another input or another action is refused, and nothing happens."""
        action = write.definition
        first = scene.execute(action, KEY)
        assert first.state == SUCCEEDED, told(first)
        seen = scene.world.seen()
        others = [(action, _other_input(action, scene))]
        others += [(one, example_of(one)) for one in scene.module.definition.actions if _differs(one, action)]
        for other, given in others:
            with pytest.raises(grpc.RpcError) as caught:
                scene.execute(other, KEY, given=given)
            assert caught.value.code() == grpc.StatusCode.ALREADY_EXISTS, f"{other.id} {given}"
        assert (scene.world.seen(), scene.world.effects()) == (seen, undisturbed.effects)

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

    def test_a_write_needs_a_key(self, write: RegisteredAction, scene: Scene) -> None:
        """Without a key the call is refused by the field's name, and the vendor hears nothing."""
        seen = scene.world.seen()
        with pytest.raises(grpc.RpcError) as caught:
            scene.execute(write.definition, "")
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert scene.world.seen() == seen


def _held(scene: Scene, undisturbed: Trace, action: ActionDefinition, seconds: float = SECONDS) -> Asked:
    """Asks for an execution whose write the vendor holds, and returns when the vendor has it."""
    assert undisturbed.requests, "the first example asks no vendor"
    scene.world.control.add_fault("hang", **undisturbed.match)
    asked = scene.ask(action, KEY, seconds=seconds)
    until(lambda: scene.world.suffered("hang"))
    return asked


def _differs(one: ActionDefinition, action: ActionDefinition) -> bool:
    return not is_read(one) and one.id != action.id


def _other_input(action: ActionDefinition, scene: Scene) -> Json:
    """Returns the first example with one field changed so that it is still valid."""
    for given in _changed(example_of(action)):
        if not scene.violations(action, given):
            return given
    raise AssertionError(f"no other valid input could be made of {json.dumps(example_of(action))}")


def _changed(example: Json) -> Iterator[Json]:
    for name, value in example.items():
        if isinstance(value, bool):
            yield {**example, name: not value}
        elif isinstance(value, int | float):
            yield from ({**example, name: value + step} for step in (1, -1))
        elif isinstance(value, str):
            yield from ({**example, name: text} for text in (f"{value}x", f"{value}1", value[:-1], _other_end(value)))
        elif isinstance(value, list) and value:
            yield {**example, name: value[:-1]}
        yield {other: kept for other, kept in example.items() if other != name}


def _other_end(text: str) -> str:
    """Returns a text of the same form: the last character is another one."""
    return text[:-1] + ("1" if text[-1:] == "0" else "0")
