"""The law: a schema accepts an instance exactly when parsing and protovalidate accept it."""

from functools import cache

import pytest
from google.protobuf.descriptor import Descriptor

from server.conformance.law import check_law
from server.contract.definitions import MessageContract
from server.contract.own import own_files
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
