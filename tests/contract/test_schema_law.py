"""The law: a schema accepts an instance exactly when parsing and protovalidate accept it."""

import json
from functools import cache
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor
from hypothesis import HealthCheck, Phase, given, settings

from server.contract.definitions import MessageContract
from server.contract.own import own_files
from server.contract.payload import PayloadInvalid, parse_json, to_json
from server.contract.reader import message_contract
from tests.contract.ecma import EcmaValidator
from tests.contract.instances import instances
from tests.gen.torture.v1 import torture_pb2

LAW = settings(
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate, Phase.shrink),
)


@cache
def contract_of(descriptor: Descriptor) -> MessageContract:
    """Returns the contract of a message, once."""
    return message_contract(descriptor)


def own_messages() -> list[Descriptor]:
    """Returns every message of this repository's protos, apart from the options themselves."""
    files = [file for file in own_files() if not file.extensions_by_name]
    return [message for file in files for message in file.message_types_by_name.values()]


def torture_messages() -> list[Descriptor]:
    """Returns every message of the torture proto."""
    return list(torture_pb2.DESCRIPTOR.message_types_by_name.values())


def accepted(contract: MessageContract, instance: Any) -> bool:
    """Tells whether parsing accepts; what it accepts must survive being printed and parsed again."""
    try:
        message = parse_json(contract, instance)
    except PayloadInvalid:
        return False
    assert parse_json(contract, to_json(message)) == message
    return True


def check_law(contract: MessageContract, examples: int) -> None:
    """Compares the verdicts; where rules are unmapped or recursion is cut a schema may accept more."""
    schemas = {"bundled": contract.schema.bundled, "inlined": contract.schema.inlined}
    validators = {form: EcmaValidator(schema) for form, schema in schemas.items()}
    one_way = {
        form: bool(contract.schema.unmapped) or '"x-patchbay-truncated"' in json.dumps(schema)
        for form, schema in schemas.items()
    }
    verdicts: set[bool] = set()

    @settings(LAW, max_examples=examples)
    @given(instances(contract.schema.bundled))
    def compare(instance: Any) -> None:
        parsed = accepted(contract, instance)
        verdicts.add(parsed)
        for form, validator in validators.items():
            valid = validator.is_valid(instance)
            assert valid or not parsed, f"the {form} schema refuses what is accepted: {instance!r}"
            assert parsed or not valid or one_way[form], f"the {form} schema accepts what is refused: {instance!r}"

    compare()
    assert verdicts == {True, False}, "the instances did not try both verdicts"


@pytest.mark.parametrize("message", torture_messages(), ids=lambda message: message.name)
def test_torture_schemas_accept_exactly_what_parsing_accepts(message: Descriptor) -> None:
    """The law holds for every type and rule that a contract can use, in both forms."""
    check_law(contract_of(message), 100)


@pytest.mark.parametrize("message", own_messages(), ids=lambda message: message.full_name)
def test_own_schemas_accept_exactly_what_parsing_accepts(message: Descriptor) -> None:
    """The law holds for every message of the repository, in both forms."""
    check_law(contract_of(message), 18)


def test_every_own_proto_is_covered() -> None:
    """No message of the repository is left out of the law, apart from those that only declare options."""
    covered = {message.file.name for message in own_messages()}
    assert covered == {file.name for file in own_files() if not file.extensions_by_name}
