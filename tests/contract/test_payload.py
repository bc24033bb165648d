"""Payloads: strict parsing, complete complaints, masking, fingerprints, cutting."""

import hashlib
import hmac
import json
import math
from typing import Any

import pytest
from google.protobuf import struct_pb2
from google.protobuf.message import Message

from server.contract.definitions import ActionDefinition, MessageContract
from server.contract.own import own_modules
from server.contract.parsing import MAX_DEPTH
from server.contract.payload import (
    PayloadInvalid,
    cut,
    fingerprint,
    masked_json,
    parse_bytes,
    parse_json,
    parse_struct,
    secret_values,
    to_json,
    to_struct,
    violations_of,
)
from server.contract.reader import message_contract
from server.gen.patchbay.modules.tacticalrmm.v1 import tacticalrmm_pb2
from tests.gen.torture.v1 import torture_pb2

# Enums of proto3 are open and fields take dictionaries, which the generated stubs do not allow for.
torture: Any = torture_pb2
tactical: Any = tacticalrmm_pb2
ACTIONS = [action for module in own_modules() for action in module.actions]
AGENT = "a" * 21


def _contract(message: type[Message]) -> MessageContract:
    descriptor: Any = message.DESCRIPTOR
    return message_contract(descriptor)


RUN = _contract(tactical.RunScriptRequest)


def _complaints(contract: MessageContract, value: Any) -> dict[str, str]:
    with pytest.raises(PayloadInvalid) as raised:
        parse_json(contract, value)
    return {violation.field: violation.rule for violation in raised.value.violations}


def test_defaults_are_applied_and_told_apart_from_zero() -> None:
    """Unset fields get their default; a zero that was given stays."""
    message = parse_json(RUN, {"agent_id": AGENT, "script_id": "1", "wait_for_output": False})
    assert to_json(message) == {
        "agent_id": AGENT,
        "script_id": "1",
        "args": [],
        "timeout": 90,
        "run_as_user": False,
        "wait_for_output": False,
        "env_vars": [],
    }


def test_defaults_reach_nested_messages() -> None:
    """Defaults are applied inside messages that are set, in lists and in maps, and create none."""
    contract = _contract(torture.MapRules)
    value = {"texts": {"a": "b"}, "spans": {"x": "1s"}, "leaves": {"1": {"name": "a"}}}
    assert to_json(parse_json(contract, value))["leaves"] == {"1": {"name": "a", "size": 1}}
    nested = to_json(parse_json(_contract(torture.Nested), {"given": {"name": "a"}}))
    assert nested == {"given": {"name": "a", "size": 1}}


def test_every_violation_is_told() -> None:
    """All fields at fault come in one answer: unknown names, wrong types, broken rules."""
    value = {"agentId": 1, "script_id": "0", "args": ["a", 3, None], "timeout": 3.5, "env_vars": ["x"]}
    assert _complaints(RUN, value) == {
        "agentId": "json.unknown_field",
        "args[1]": "json.type",
        "args[2]": "json.type",
        "timeout": "json.type",
        "agent_id": "string.pattern",
        "script_id": "string.pattern",
        "env_vars[0]": "string.pattern",
    }


def test_a_misspelled_field_gets_advice() -> None:
    """An unknown field is answered with the name that was probably meant."""
    with pytest.raises(PayloadInvalid, match=r"scriptId: unknown field, did you mean `script_id`\?"):
        parse_json(RUN, {"agent_id": AGENT, "scriptId": "1"})


def test_a_flood_of_violations_is_counted() -> None:
    """Of very many violations the first fifty are told and the rest is a number, with names cut."""
    with pytest.raises(PayloadInvalid) as raised:
        parse_json(RUN, {f"{'x' * 1000}{number}": 0 for number in range(5000)})
    told = raised.value.violations
    assert len(told) == 51
    assert told[-1].message == "and 4952 more violations"
    assert max(len(violation.field) for violation in told) == 100


def test_a_missing_choice_names_its_members() -> None:
    """A required oneof that is not set says what it could be."""
    contract = _contract(tactical.TacticalRmmConnection)
    with pytest.raises(PayloadInvalid, match="auth: exactly one of `api_key`, `login` is required"):
        parse_json(contract, {"instance_url": "x"})
    both = {"instance_url": "x", "api_key": "k", "login": {"username": "u", "password": "p"}}
    assert _complaints(contract, both) == {"login": "json.oneof"}


def test_complaints_never_hold_the_value() -> None:
    """Whatever is wrong with a value, the answer does not repeat it: it may be a secret."""
    contract, canary = _contract(torture.Secrets), "canary-7f3a"
    bad: list[dict[str, Any]] = [
        {"token": [canary]},
        {"pin": canary},
        {"lines": canary},
        {"named": [canary]},
        {"leaf": {"name": canary}},
    ]
    for value in bad:
        with pytest.raises(PayloadInvalid) as raised:
            parse_json(contract, value)
        assert canary not in str(raised.value)


@pytest.mark.parametrize("value", [None, [], "x", 3, True])
def test_a_payload_is_an_object(value: Any) -> None:
    """Anything else than an object is refused, at the root."""
    assert _complaints(RUN, value) == {"": "json.type"}


def test_numbers_of_a_struct_are_whole_where_they_must_be() -> None:
    """A Struct's doubles are accepted for integers when they are whole, exactly representable and in range."""
    contract = _contract(torture.Scalars)
    struct = struct_pb2.Struct()
    struct.update({"an_int32": 3.0, "an_int64": 2.0**53 - 1, "a_uint64": "18446744073709551615"})
    message: Any = parse_struct(contract, struct)
    assert (message.an_int32, message.an_int64, message.a_uint64) == (3, 2**53 - 1, 2**64 - 1)
    for name, number in (("an_int32", 3.5), ("an_int64", 2.0**53), ("a_double", math.nan), ("a_float", math.inf)):
        struct = struct_pb2.Struct(fields={name: struct_pb2.Value(number_value=number)})
        with pytest.raises(PayloadInvalid) as raised:
            parse_struct(contract, struct)
        assert [violation.field for violation in raised.value.violations] == [name]


def test_a_value_without_a_kind_is_refused() -> None:
    """A Struct may hold a Value that says nothing; that is a defect of the caller, told with its path."""
    inner = struct_pb2.Struct(fields={"name": struct_pb2.Value()})
    struct = struct_pb2.Struct(fields={"leaf": struct_pb2.Value(struct_value=inner)})
    with pytest.raises(PayloadInvalid, match=r"leaf\.name: has no value at all"):
        parse_struct(_contract(torture.Choices), struct)


def test_depth_is_limited_where_protobuf_can_still_carry_it() -> None:
    """The deepest accepted JSON survives a trip through a serialized Struct inside a message; deeper is refused."""
    contract = _contract(torture.WellKnown)

    def nested(levels: int) -> Any:
        value: Any = 1
        for _ in range(levels):
            value = {"a": value}
        return value

    given = "2026-01-31T12:00:00Z"
    message = parse_json(contract, {"given": given, "value": nested(MAX_DEPTH - 1)})
    struct = to_struct(message)
    assert struct_pb2.Struct.FromString(struct.SerializeToString()) == struct
    assert parse_struct(contract, struct) == message
    assert _complaints(contract, {"given": given, "value": nested(MAX_DEPTH)}) == {"": "json.depth"}


def test_bytes_are_held_to_the_same_contract() -> None:
    """The binary form gets defaults and rules too, and may hold nothing that JSON could not say."""
    message = tactical.RunScriptRequest(agent_id=AGENT, script_id="1")
    assert parse_bytes(RUN, message.SerializeToString()) == parse_json(RUN, {"agent_id": AGENT, "script_id": "1"})
    scalars = _contract(torture.Scalars)
    strange: dict[str, Message] = {
        "wire.enum": torture.Scalars(colour=77),
        "wire.finite": torture.Scalars(a_double=math.nan),
        "wire.unknown_field": tactical.RunScriptResponse(execution_time={"seconds": 1}, history_id="x"),
    }
    for rule, one in strange.items():
        contract = scalars if rule != "wire.unknown_field" else _contract(torture.Leaf)
        with pytest.raises(PayloadInvalid) as raised:
            parse_bytes(contract, one.SerializeToString())
        assert rule in {violation.rule for violation in raised.value.violations}


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (torture.WellKnown(time={"seconds": 10**15}, given={}), "time"),
        (torture.WellKnown(span={"seconds": 1, "nanos": -1}, given={}), "span"),
        (torture.WellKnown(given={}, value=struct_pb2.Value()), "value"),
        (torture.WellKnown(given={}, a_double={"value": math.inf}), "a_double.value"),
        (
            torture.WellKnown(given={}, object={"fields": {"a": struct_pb2.Value(number_value=math.inf)}}),
            'object.fields["a"].number_value',
        ),
    ],
)
def test_strange_well_known_values_are_refused_in_bytes(message: Message, path: str) -> None:
    """Times out of range, values without a kind and infinite numbers are found at any depth."""
    with pytest.raises(PayloadInvalid) as raised:
        parse_bytes(_contract(torture.WellKnown), message.SerializeToString())
    assert path in {violation.field for violation in raised.value.violations}


def test_garbage_bytes_are_refused() -> None:
    """Bytes that are no message of the type are refused as a whole."""
    with pytest.raises(PayloadInvalid, match="is no serialized patchbay"):
        parse_bytes(RUN, b"\xff\xff\xff")


def test_what_json_cannot_say_is_not_printed() -> None:
    """Printing refuses infinite numbers and unnamed enum numbers instead of writing something else."""
    for message in (torture.Scalars(a_double=math.inf), torture.Scalars(a_float=math.nan)):
        with pytest.raises(ValueError, match="not finite"):
            to_json(message)
    with pytest.raises(ValueError, match="no value of"):
        to_json(torture.Scalars(colour=77))


def test_floats_are_printed_short() -> None:
    """A single-precision number is printed with the digits it was given with."""
    assert to_json(torture.FloatRules(below=0.1, given=16777216.0))["below"] == 0.1
    assert json.dumps(to_json(torture.Scalars(a_float=3.0))["a_float"]) == "3"


def _secrets() -> Any:
    return torture.Secrets(
        token="s-token",
        maybe="",
        lines=["s-line", ""],
        named={"key": "s-named"},
        pin=987654,
        object={"fields": {"a": struct_pb2.Value(string_value="s-object"), "b": struct_pb2.Value(bool_value=True)}},
        leaf={"name": "s-l"},
        inner={"token": "s-inner", "open": "o-inner"},
        items=[{"token": "s-item"}, {"open": "o-item"}],
        pairs={"p": {"token": "s-pair"}},
        open="o-open",
        wrapped={"value": "s-wrapped"},
    )


def test_secrets_are_masked_at_every_depth() -> None:
    """Masked JSON holds no secret, keeps what is open, and shows how many elements there are."""
    masked = masked_json(_secrets())
    text = json.dumps(masked)
    assert "s-" not in text
    assert "987654" not in text
    assert masked["lines"] == ["***", "***"]
    assert masked["named"] == {"key": "***"}
    assert (masked["maybe"], masked["object"], masked["leaf"], masked["wrapped"]) == ("***",) * 4
    assert (masked["open"], masked["inner"]["open"], masked["items"][1]["token"]) == ("o-open", "o-inner", "")


def test_secret_values_are_all_found() -> None:
    """Every secret text and number of the message is listed once, empty ones left out."""
    expected = {"s-token", "s-line", "s-named", "987654", "s-object", "s-l", "s-inner", "s-item", "s-pair"}
    assert secret_values(_secrets()) >= expected | {"s-wrapped"}
    assert not any(value.startswith("o-") for value in secret_values(_secrets()))
    assert "" not in secret_values(_secrets())


def _hashed(key: bytes) -> Any:
    return lambda value: hmac.new(key, value, hashlib.sha256).digest()


def _digest(message: Message, **changes: Any) -> bytes:
    facts = {"action_id": "a.b", "version": 1, "connection_id": "c", "key": b"k", **changes}
    keyed = _hashed(facts["key"])
    scheme, digest = fingerprint(facts["action_id"], facts["version"], facts["connection_id"], message, keyed)
    assert scheme == "sha256-v1"
    return digest


def test_fingerprint_tells_calls_apart() -> None:
    """Action, version, connection and every field enter it."""
    message = parse_json(RUN, {"agent_id": AGENT, "script_id": "1", "args": ["a", "b"], "env_vars": ["A=1"]})
    digests = [
        _digest(message),
        _digest(message, action_id="a.c"),
        _digest(message, version=2),
        _digest(message, connection_id="d"),
        _digest(message, connection_id=None),
    ]
    changes: list[dict[str, Any]] = [
        {"args": ["ab"]},
        {"args": ["b", "a"]},
        {"timeout": 91},
        {"env_vars": ["A=2"]},
        {"env_vars": []},
    ]
    for change in changes:
        changed = {"agent_id": AGENT, "script_id": "1", "args": ["a", "b"], "env_vars": ["A=1"], **change}
        digests.append(_digest(parse_json(RUN, changed)))
    assert len(set(digests)) == len(digests)


def test_fingerprint_ignores_how_the_same_call_was_said() -> None:
    """Order of names, encoding and explicit defaults make no difference."""
    said = {"script_id": "1", "agent_id": AGENT, "timeout": 90.0, "wait_for_output": True, "args": []}
    message = parse_json(RUN, {"agent_id": AGENT, "script_id": "1"})
    assert _digest(parse_json(RUN, said)) == _digest(message)
    assert _digest(parse_bytes(RUN, message.SerializeToString())) == _digest(message)
    maps = [
        {"texts": dict(pairs), "spans": {"a": "1s"}} for pairs in ([("a", "1"), ("b", "2")], [("b", "2"), ("a", "1")])
    ]
    one, other = (parse_json(_contract(torture.MapRules), value) for value in maps)
    assert _digest(one) == _digest(other)


def test_fingerprint_is_stable() -> None:
    """The digest of a known call is a known one: stored fingerprints survive releases."""
    message = parse_json(RUN, {"agent_id": AGENT, "script_id": "1", "timeout": 5})
    canonical = '{"action":"a.b","connection":"c","input":{"agent_id":"%s","script_id":"1","timeout":5},"version":1}'
    assert _digest(message) == hashlib.sha256((canonical % AGENT).encode()).digest()


def test_secrets_enter_the_fingerprint_under_the_key_only() -> None:
    """With another key the digest of a call with secrets differs, that of one without does not."""
    secret, plain = torture.Secrets(token="guess"), torture.Secrets(open="x")
    assert _digest(secret) != _digest(secret, key=b"other")
    assert _digest(plain) == _digest(plain, key=b"other")
    everything = _secrets()
    assert _digest(everything) != _digest(everything, key=b"other")


def test_long_texts_are_cut_between_characters() -> None:
    """What is left is valid text within the limit, marker included; cutting again changes nothing."""
    message = torture.Texts(
        text="é" * 500,
        lines=["x" * 150, "\U0001f600" * 100],
        whole="z" * 1000,
        inner={"text": "y" * 201},
        named={"n": {"text": "w" * 1000}},
    )
    assert cut(message) == ("text", "lines[1]", "inner.text", "named[n].text")
    assert len(message.text.encode()) <= 200
    assert message.text.endswith("\n[cut: 136 of 1000 bytes kept]")
    assert len(message.lines[1].encode()) <= 150
    assert message.lines[0] == "x" * 150
    assert len(message.whole) == 1000
    assert cut(message) == ()


def test_rules_that_fail_to_evaluate_are_violations() -> None:
    """violations_of names field, message and rule for requests of our own services too."""
    found = violations_of(tactical.RunScriptRequest(agent_id="x", script_id="1"))
    assert [(one.field, one.rule) for one in found] == [("agent_id", "string.pattern")]
    assert "{21,255}" in found[0].message


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.id)
def test_examples_are_complete_inputs(action: ActionDefinition) -> None:
    """Every example of a contract can be executed as it stands."""
    for example in action.examples:
        assert parse_json(action.input, example)
