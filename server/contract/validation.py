"""What protovalidate says about a message, in our words."""

from typing import Any

import protovalidate
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from server.contract.defaults import apply_defaults
from server.contract.problems import Violation
from server.contract.shapes import choices_of, type_of


def violations_of(message: Message, validator: protovalidate.Validator | None = None) -> tuple[Violation, ...]:
    """Returns every violated protovalidate rule of a message, nested messages included.

    Args:
        message: The message.
        validator: Keeps compiled rules by the name of the message type, so types of one name in two descriptor
            pools need one each. None: the process's own, for the default pool.

    Raises:
        protovalidate.CompilationError: A rule itself is malformed; contracts are checked for it when read.
    """
    try:
        found = (validator or protovalidate).collect_violations(message)
    except protovalidate.EvaluationError as error:
        return (Violation("", f"a rule could not be evaluated: {error}", "cel.evaluation"),)
    return tuple(_violation(message, one.proto) for one in found)


def required_fields(descriptor: Descriptor, validator: protovalidate.Validator | None = None) -> frozenset[str]:
    """Returns the fields that cannot be left out: those at fault in an empty message after defaults."""
    message = message_factory.GetMessageClass(descriptor)()
    apply_defaults(message)
    faulty = {violation.field for violation in violations_of(message, validator)}
    return frozenset(field.name for field in descriptor.fields if field.name in faulty)


def _violation(message: Message, proto: Any) -> Violation:
    path = _path(proto.field.elements) if proto.field else ""
    text = proto.message or "does not fulfil a rule"
    choice = next((one for one in choices_of(type_of(message)) if one.name == path), None)
    if choice is not None:
        text = f"exactly one of {', '.join(f'`{field.name}`' for field in choice.fields)} is required"
    elif proto.rule_id == "required":
        text = "is required"
    return Violation(path, f"{text} (the key)" if proto.for_key else text, proto.rule_id or "cel")


def _path(elements: Any) -> str:
    path = ""
    for element in elements:
        name = f"[{element.field_name}]" if element.field_name.startswith("(") else element.field_name
        path = f"{path}.{name}" if path else name
        if element.subscript is not None:
            path += _subscript(element.subscript.value)
    return path


def _subscript(value: Any) -> str:
    if isinstance(value, bool):
        return f"[{str(value).lower()}]"
    return f'["{value}"]' if isinstance(value, str) else f"[{value}]"
