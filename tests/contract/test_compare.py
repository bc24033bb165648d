"""The comparer refuses every change that would break a workflow, and nothing else."""

from collections.abc import Callable
from importlib import resources
from typing import Any

import pytest
from google.protobuf import descriptor_pb2

from server import validate_descriptor
from server.contract.compare import ACTION_RULES, Finding, compare
from server.contract.compare_messages import MESSAGE_RULES
from server.gen.patchbay.v1 import options_pb2

IMAGE = (resources.files("server.gen") / "descriptors.binpb").read_bytes()
RUN = "tacticalrmm.agents.run_script v1"
GET = "tacticalrmm.agents.get v1"
CONNECTION = "connection of app:tacticalrmm"
Set = descriptor_pb2.FileDescriptorSet


def _file(image: Set) -> descriptor_pb2.FileDescriptorProto:
    return next(file for file in image.file if file.name.endswith("tacticalrmm.proto"))


def _method(image: Set, name: str) -> descriptor_pb2.MethodDescriptorProto:
    return next(method for method in _file(image).service[0].method if method.name == name)


def _action(image: Set, name: str) -> options_pb2.ActionOptions:
    return _method(image, name).options.Extensions[options_pb2.action]


def _message(image: Set, name: str) -> descriptor_pb2.DescriptorProto:
    return next(message for message in _file(image).message_type if message.name == name)


def _field(image: Set, message: str, name: str) -> descriptor_pb2.FieldDescriptorProto:
    return next(field for field in _message(image, message).field if field.name == name)


def _rules(image: Set, message: str, name: str) -> Any:
    options: Any = _field(image, message, name).options
    return options.Extensions[validate_descriptor.field]


def _display(image: Set, message: str, name: str) -> options_pb2.FieldDisplay:
    return _field(image, message, name).options.Extensions[options_pb2.field]


def _module(image: Set) -> options_pb2.ModuleOptions:
    return _file(image).service[0].options.Extensions[options_pb2.module]


def _prepared() -> Set:
    """Returns the present contract with what some rules need and it does not have: a key window, an enum."""
    image = Set.FromString(IMAGE)
    _action(image, "RebootAgent").vendor_keyed.window.seconds = 600
    enum = _file(image).enum_type.add(name="Mood")
    enum.value.add(name="MOOD_UNSPECIFIED", number=0)
    enum.value.add(name="MOOD_GOOD", number=1)
    message = _message(image, "RunScriptRequest")
    mood = message.field.add(name="mood", number=50, type=14, label=1)
    mood.type_name = ".patchbay.modules.tacticalrmm.v1.Mood"
    number = message.field.add(name="number", number=51, type=3, label=1)
    options: Any = number.options
    options.Extensions[validate_descriptor.field].int64.not_in.append(7)
    getattr(options.Extensions[validate_descriptor.field].int64, "in").extend([0, 1, 2])
    return image


def _remove_field(image: Set, message: str, name: str) -> None:
    described = _message(image, message)
    place = next(index for index, field in enumerate(described.field) if field.name == name)
    if described.field[place].proto3_optional:
        gone = described.field[place].oneof_index
        del described.oneof_decl[gone]
        for field in described.field:
            if field.HasField("oneof_index") and field.oneof_index > gone:
                field.oneof_index -= 1
    del described.field[place]


def _remove_method(image: Set, name: str) -> None:
    methods = _file(image).service[0].method
    del methods[next(index for index, method in enumerate(methods) if method.name == name)]


def _set(target: Callable[[Set], Any], name: str, value: Any) -> Callable[[Set], None]:
    return lambda image: setattr(target(image), name, value)


def _rule_seconds(image: Set, limit: str, seconds: int) -> None:
    getattr(_rules(image, "TacticalRmmConnection", "max_wait").duration, limit).seconds = seconds


def _add_required(image: Set) -> None:
    field = _message(image, "RunScriptRequest").field.add(name="fresh", number=90, type=9, label=1)
    options: Any = field.options
    options.Extensions[validate_descriptor.field].string.min_len = 1


def _message_cel(image: Set) -> None:
    options: Any = _message(image, "RunScriptRequest").options
    rules = options.Extensions[validate_descriptor.message]
    rules.cel.add(id="new", message="new", expression="this.script_id != '7'")


def _no_oneof(image: Set) -> None:
    _field(image, "TacticalRmmConnection", "login").ClearField("oneof_index")


PLANTED: list[tuple[str, str, Callable[[Set], Any]]] = [
    ("action.removed", RUN, lambda image: _remove_method(image, "RunScript")),
    ("action.renamed", RUN, _set(lambda image: _action(image, "RunScript"), "id", "tacticalrmm.agents.run")),
    ("connection.removed", CONNECTION, _set(_module, "connection_message", "")),
    ("effect.changed", RUN, _set(lambda image: _action(image, "RunScript"), "opaque", True)),
    ("failure.removed", RUN, lambda image: _action(image, "RunScript").failures.pop()),
    ("failure.removed", RUN, _set(lambda image: _action(image, "RunScript").failures[0], "reason", "OTHER")),
    ("failure.retryable", RUN, _set(lambda image: _module(image).failures[0], "retryable", False)),
    (
        "max_timeout.shortened",
        RUN,
        _set(lambda image: _action(image, "RunScript").max_timeout, "seconds", 60),
    ),
    ("module.group_key", RUN, _set(_module, "group_key", "app:trmm")),
    ("permission.changed", RUN, _set(lambda image: _action(image, "RunScript"), "permission", "tacticalrmm.admin")),
    ("rpc.moved", RUN, _set(lambda image: _method(image, "RunScript"), "name", "StartScript")),
    ("timeout.shortened", RUN, _set(lambda image: _action(image, "RunScript").timeout, "seconds", 60)),
    ("timeout.shortened", GET, _set(lambda image: _module(image).default_timeout, "seconds", 59)),
    ("timeout.shortened", GET, _set(lambda image: _action(image, "GetAgent").timeout, "seconds", 59)),
    (
        "vendor_keyed.shortened",
        "tacticalrmm.agents.reboot v1",
        _set(lambda image: _action(image, "RebootAgent").vendor_keyed.window, "seconds", 60),
    ),
    ("choice.changed", CONNECTION, _no_oneof),
    (
        "cut.shortened",
        RUN,
        _set(lambda image: _display(image, "RunScriptResponse", "stdout"), "cut_bytes", 1000),
    ),
    ("default.changed", RUN, _set(lambda image: _display(image, "RunScriptRequest", "timeout"), "default_json", "60")),
    ("enum_value.removed", RUN, lambda image: _file(image).enum_type[0].value.pop()),
    (
        "field.presence",
        RUN,
        _set(lambda image: _field(image, "RunScriptRequest", "run_as_user"), "proto3_optional", True),
    ),
    ("field.removed", RUN, lambda image: _remove_field(image, "RunScriptRequest", "args")),
    ("field.removed", RUN, lambda image: _remove_field(image, "RunScriptResponse", "exit_code")),
    ("field.type", RUN, _set(lambda image: _field(image, "RunScriptResponse", "exit_code"), "type", 9)),
    ("field.type", RUN, _set(lambda image: _field(image, "RunScriptRequest", "args"), "number", 77)),
    ("limit.tightened", RUN, _set(lambda image: _rules(image, "RunScriptRequest", "args").repeated, "max_items", 9)),
    (
        "limit.tightened",
        RUN,
        _set(lambda image: _rules(image, "RunScriptRequest", "args").repeated.items.string, "max_len", 9),
    ),
    ("limit.tightened", RUN, _set(lambda image: _rules(image, "RunScriptRequest", "timeout").int32, "gte", 2)),
    ("limit.tightened", RUN, _set(lambda image: _rules(image, "RunScriptRequest", "script_id").string, "max_len", 3)),
    ("limit.tightened", RUN, _set(lambda image: _rules(image, "RunScriptRequest", "script_id").string, "pattern", "1")),
    ("limit.tightened", RUN, lambda image: getattr(_rules(image, "RunScriptRequest", "number").int64, "in").pop()),
    ("limit.tightened", RUN, lambda image: _rules(image, "RunScriptRequest", "number").int64.not_in.append(2)),
    ("limit.tightened", RUN, _message_cel),
    ("limit.tightened", CONNECTION, lambda image: _rule_seconds(image, "lte", 100)),
    (
        "limit.tightened",
        "tacticalrmm.agents.find v1",
        _set(lambda image: _rules(image, "FindAgentsRequest", "agent_id"), "ignore", 0),
    ),
    ("required.added", RUN, _add_required),
    ("required.added", RUN, _set(lambda image: _rules(image, "RunScriptRequest", "args"), "required", True)),
    (
        "secret.removed",
        RUN,
        _set(lambda image: _field(image, "RunScriptRequest", "env_vars").options, "debug_redact", False),
    ),
    (
        "secret.removed",
        CONNECTION,
        _set(lambda image: _field(image, "KnoxLogin", "password").options, "debug_redact", False),
    ),
]


def _planted(change: Callable[[Set], Any]) -> list[Finding]:
    old, new = _prepared(), _prepared()
    change(new)
    _with_optional(new)
    return compare(old.SerializeToString(), new.SerializeToString())


def _with_optional(image: Set) -> None:
    """Gives fields that a change made `optional` the oneof that the compiler would add."""
    for message in _file(image).message_type:
        used = {field.oneof_index for field in message.field if field.HasField("oneof_index")}
        assert used == set(range(len(message.oneof_decl)))
        for field in message.field:
            if field.proto3_optional and not field.HasField("oneof_index"):
                message.oneof_decl.add(name=f"_{field.name}")
                field.oneof_index = len(message.oneof_decl) - 1


@pytest.mark.parametrize(
    ("rule", "subject", "change"), PLANTED, ids=[f"{rule}-{n}" for n, (rule, *_) in enumerate(PLANTED)]
)
def test_planted_violation_is_found(rule: str, subject: str, change: Callable[[Set], Any]) -> None:
    """Each breaking change is found, under its rule and subject."""
    assert (rule, subject) in {(finding.rule, finding.subject) for finding in _planted(change)}


def test_every_rule_has_a_planted_violation() -> None:
    """No rule of the comparer is untested."""
    assert {rule for rule, *_ in PLANTED} == ACTION_RULES | MESSAGE_RULES


def test_equal_states_have_no_findings() -> None:
    """A state compared with itself is clean, apart from nothing."""
    assert compare(IMAGE, IMAGE) == []


def _said_by_each_action(image: Set) -> None:
    module = _module(image)
    for method in _file(image).service[0].method:
        options = method.options.Extensions[options_pb2.action]
        options.version = 1
        if not options.HasField("timeout"):
            options.timeout.CopyFrom(module.default_timeout)
        if options.failures and options.failures[0].reason == module.failures[0].reason:
            options.failures[0].CopyFrom(module.failures[0])
    module.ClearField("default_timeout")
    module.ClearField("failures")


def test_who_says_something_makes_no_difference() -> None:
    """What moves between the module and its actions and means the same is no change, in either direction."""
    old, new = _prepared(), _prepared()
    _said_by_each_action(new)
    assert compare(old.SerializeToString(), new.SerializeToString()) == []
    assert compare(new.SerializeToString(), old.SerializeToString()) == []


def _loosened(image: Set) -> None:
    _rules(image, "RunScriptRequest", "args").repeated.max_items = 200
    _rules(image, "RunScriptRequest", "timeout").int32.lte = 7200
    _rules(image, "RunScriptRequest", "script_id").string.Clear()
    _action(image, "RunScript").timeout.seconds = 9000
    _action(image, "RunScript").failures.add(reason="NEW_ONE", description="New.")
    _action(image, "RunScript").label = "Start script"
    _message(image, "RunScriptRequest").field.add(name="fresh", number=90, type=9, label=1)
    _message(image, "RunScriptResponse").field.add(name="fresh", number=90, type=9, label=1)
    _file(image).enum_type[0].value.add(name="MOOD_BAD", number=2)
    _field(image, "RunScriptResponse", "output").options.debug_redact = True
    _display(image, "RunScriptResponse", "stdout").cut_bytes = 2_000_000


def test_loosening_and_adding_is_allowed() -> None:
    """Wider limits, longer timeouts, new optional fields, failures and enum values break nothing."""
    assert _planted(_loosened) == []


def test_a_new_version_beside_the_old_one_may_differ() -> None:
    """What a change would break under the same version is allowed under a new one, when the old one is kept."""

    def second_version(image: Set) -> None:
        service = _file(image).service[0]
        service.method.add().CopyFrom(_method(image, "RunScript"))
        service.method[-1].name = "RunScriptV2"
        options = service.method[-1].options.Extensions[options_pb2.action]
        options.version, options.opaque, options.permission = 2, True, "tacticalrmm.admin"
        options.timeout.seconds = 1

    assert _planted(second_version) == []


def test_a_deprecated_action_may_go() -> None:
    """An action that was announced as deprecated may be removed."""
    old, new = _prepared(), _prepared()
    _action(old, "RunScript").deprecation.since = "1.0"
    _remove_method(new, "RunScript")
    assert compare(old.SerializeToString(), new.SerializeToString()) == []
