"""The law: a schema accepts an instance exactly when parsing and protovalidate accept it."""

from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor

from server.conformance.law import check_law
from server.contract.definitions import MessageContract
from server.contract.own import own_files, own_modules
from server.contract.reader import message_contract
from tests.gen.torture.v1 import torture_pb2


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


@cache
def _examples() -> Mapping[str, list[dict[str, Any]]]:
    """Returns the instances of messages in the examples of all actions, by name."""
    found = defaultdict[str, list[dict[str, Any]]](list)

    def collect(message: Descriptor, instance: dict[str, Any]) -> None:
        found[message.full_name].append(instance)
        for name, value in instance.items():
            field = message.fields_by_name[name]
            if field.message_type is not None and isinstance(value, dict) and not field.is_repeated:
                collect(field.message_type, value)

    for module in own_modules():
        for action in module.actions:
            for example in action.examples:
                collect(action.input.descriptor, example)
    return found


@pytest.mark.parametrize("message", torture_messages(), ids=lambda message: message.name)
def test_torture_schemas_accept_exactly_what_parsing_accepts(message: Descriptor) -> None:
    """The law holds for every type and rule that a contract can use, in both forms."""
    check_law(contract_of(message), 100)


@pytest.mark.parametrize("message", own_messages(), ids=lambda message: message.full_name)
def test_own_schemas_accept_exactly_what_parsing_accepts(message: Descriptor) -> None:
    """The law holds for every message of the repository, in both forms."""
    check_law(contract_of(message), 18, _examples().get(message.full_name, ()))


def test_every_own_proto_is_covered() -> None:
    """No message of the repository is left out of the law, apart from those that only declare options."""
    covered = {message.file.name for message in own_messages()}
    assert covered == {file.name for file in own_files() if not file.extensions_by_name}
