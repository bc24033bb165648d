"""The law: a schema accepts an instance exactly when parsing and protovalidate accept it."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings

from server.conformance.ecma import EcmaValidator
from server.conformance.instances import instances
from server.contract.definitions import MessageContract
from server.contract.payload import PayloadInvalid, parse_json, to_json

_LAW = settings(
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate, Phase.shrink),
)


def accepted(contract: MessageContract, instance: Any) -> bool:
    """Tells whether parsing accepts; what it accepts must survive being printed and parsed again."""
    try:
        message = parse_json(contract, instance)
    except PayloadInvalid:
        return False
    assert parse_json(contract, to_json(message)) == message
    return True


def check_law(contract: MessageContract, count: int, known: Iterable[Mapping[str, Any]] = ()) -> None:
    """Compares the verdicts; where rules are unmapped or recursion is cut a schema may accept more.

    Args:
        contract: The message.
        count: Instances to try; more when these do not try both verdicts.
        known: Valid instances, for messages whose rules random ones seldom keep. They are tried too, whole and with
            each member left out.
    """
    schemas = {"bundled": contract.schema.bundled, "inlined": contract.schema.inlined}
    validators = {form: EcmaValidator(schema) for form, schema in schemas.items()}
    one_way = {
        form: bool(contract.schema.unmapped) or '"x-patchbay-truncated"' in json.dumps(schema)
        for form, schema in schemas.items()
    }
    verdicts: set[bool] = set()

    def compare(instance: Any) -> None:
        parsed = accepted(contract, instance)
        verdicts.add(parsed)
        for form, validator in validators.items():
            valid = validator.is_valid(instance)
            assert valid or not parsed, f"the {form} schema refuses what is accepted: {instance!r}"
            assert parsed or not valid or one_way[form], f"the {form} schema accepts what is refused: {instance!r}"

    for instance in known:
        compare(dict(instance))
        for left_out in instance:
            compare({name: value for name, value in instance.items() if name != left_out})
    for wanted in (count, 10 * count):
        if verdicts != {True, False}:
            settings(_LAW, max_examples=wanted)(given(instances(contract.schema.bundled))(compare))()
    assert verdicts == {True, False}, "the instances did not try both verdicts"
