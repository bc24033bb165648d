"""The contract: schemas, the golden catalog, examples, pickers."""

import os
from typing import Any

from google.protobuf.descriptor import Descriptor
from google.protobuf.json_format import MessageToDict

from server.conformance.bench import Json
from server.conformance.cases import Cases
from server.conformance.judging import check_success, is_keyless, is_read
from server.conformance.law import check_law
from server.conformance.scene import Scene, Trace, example_of
from server.contract.definitions import ActionDefinition, MessageContract
from server.contract.golden import golden
from server.core.registry import RegisteredAction, RegisteredModule

_INSTANCES = 18


class ContractCases(Cases):
    """What stands in the contract is true."""

    def test_a_schema_accepts_exactly_what_parsing_accepts(self, message: MessageContract) -> None:
        """The law holds for inputs, outputs and the connection, in both forms of the schema."""
        inputs = [one.definition for one in self.actions() if one.definition.input.descriptor is message.descriptor]
        check_law(message, _INSTANCES, [example for one in inputs for example in one.examples])

    def test_the_catalog_is_the_reviewed_one(self, module: RegisteredModule) -> None:
        """Everything that can be observed of the module is what somebody has looked at."""
        present = golden(module.definition)
        if os.environ.get("PATCHBAY_GOLDEN") == "write":
            self.golden.write_text(present, encoding="utf-8")
        assert self.golden.exists(), f"no {self.golden}: run with PATCHBAY_GOLDEN=write, then look at it"
        assert self.golden.read_text(encoding="utf-8") == present, "run with PATCHBAY_GOLDEN=write, look at the change"

    def test_the_first_example_works(self, action: RegisteredAction, undisturbed: Trace) -> None:
        """An example of the contract succeeds with an output that its schema accepts; a write has its effect."""
        definition = action.definition
        check_success(definition, undisturbed.execution)
        if is_read(definition):
            assert (undisturbed.effects, undisturbed.write) == (0, None), "it only reads"
        else:
            writes = undisturbed.write is not None
            assert writes == bool(undisturbed.effects), f"sent a write: {writes}, effects: {undisturbed.effects}"
            assert writes or not is_keyless(definition), "it had no effect at the vendor"

    def test_every_example_is_valid(self, action: RegisteredAction, scene: Scene) -> None:
        """Every example would be accepted."""
        assert example_of(action.definition) in action.definition.examples
        wrong = {str(one): list(scene.violations(action.definition, dict(one))) for one in action.definition.examples}
        assert {one: found for one, found in wrong.items() if found} == {}

    def test_a_picker_offers_what_the_field_takes(self, picker: tuple[RegisteredAction, str], scene: Scene) -> None:
        """A field's choices are there, can be searched for by their text, and are accepted by the field."""
        definition, field = picker[0].definition, picker[1]
        answer = scene.options(definition, field)
        assert not answer.HasField("failure"), answer.failure
        assert answer.options, f"nothing to choose from: {answer.empty_reason}"
        first = answer.options[0]
        assert first.label, "a choice without a text"
        found = scene.options(definition, field, first.label).options
        assert first.value in [one.value for one in found], f"not found by its text `{first.label}`"
        refused = {}
        for one in answer.options:
            given = _chosen(definition, field, MessageToDict(one.value))
            refused[one.label] = [wrong for wrong in scene.violations(definition, given) if field in wrong.field]
        assert {label: wrong for label, wrong in refused.items() if wrong} == {}


def _chosen(action: ActionDefinition, path: str, value: Any) -> Json:
    """Returns the first example with a choice made: one of several in a list, instead of its alternatives."""
    return _with(example_of(action), action.input.descriptor, path, value)


def _with(given: Json, message: Descriptor, path: str, value: Any) -> Json:
    name, _, inside = path.partition(".")
    field = message.fields_by_name[name]
    if inside and field.message_type is not None:
        return {**given, name: _with(given.get(name, {}), field.message_type, inside, value)}
    if field.containing_oneof is not None:
        given = {key: one for key, one in given.items() if key not in {f.name for f in field.containing_oneof.fields}}
    return {**given, name: [value] if field.is_repeated else value}
