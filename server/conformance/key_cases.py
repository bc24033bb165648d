"""Keys: one effect for one key, whoever asks and however often."""

import json
from collections.abc import Iterator

import grpc
import pytest

from server.conformance.bench import Json
from server.conformance.cases import Cases
from server.conformance.judging import SUCCEEDED, is_read, told
from server.conformance.scene import Scene, Trace, example_of
from server.contract.definitions import ActionDefinition
from server.core.registry import RegisteredAction

KEY = "run-1/step-1"


class KeyCases(Cases):
    """What is promised of idempotency keys holds for every action."""

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

    def test_a_write_needs_a_key(self, write: RegisteredAction, scene: Scene) -> None:
        """Without a key the call is refused by the field's name, and the vendor hears nothing."""
        seen = scene.world.seen()
        with pytest.raises(grpc.RpcError) as caught:
            scene.execute(write.definition, "")
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert scene.world.seen() == seen


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
