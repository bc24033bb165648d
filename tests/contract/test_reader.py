"""Reading a module: the definition it gives, and every contradiction that it refuses."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, text_format
from google.protobuf.descriptor import ServiceDescriptor

from server import validate_descriptor
from server.contract.definitions import ContractError, EffectClass
from server.contract.own import own_modules
from server.contract.reader import read_module
from server.gen.patchbay.modules.tacticalrmm.v1 import tacticalrmm_pb2
from server.gen.patchbay.v1 import options_pb2

File = descriptor_pb2.FileDescriptorProto
_numbers = itertools.count(1)


def _copy() -> File:
    """Returns the Tactical RMM proto under a package of its own, since pools and validators go by name."""
    file = File()
    tacticalrmm_pb2.DESCRIPTOR.CopyToProto(file)
    package = f"case{next(_numbers)}.v1"
    text = text_format.MessageToString(file).replace("patchbay.modules.tacticalrmm.v1", package)
    copy = text_format.Parse(text, File())
    copy.name = f"{package}.proto"
    return copy


def _service(file: File) -> ServiceDescriptor:
    return descriptor_pool.Default().AddSerializedFile(file.SerializeToString()).services_by_name["TacticalRmm"]


def _module(file: File) -> options_pb2.ModuleOptions:
    return file.service[0].options.Extensions[options_pb2.module]


def _method(file: File, name: str = "RunScript") -> descriptor_pb2.MethodDescriptorProto:
    return next(method for method in file.service[0].method if method.name == name)


def _action(file: File, name: str = "RunScript") -> options_pb2.ActionOptions:
    return _method(file, name).options.Extensions[options_pb2.action]


def _field(file: File, message: str, name: str) -> descriptor_pb2.FieldDescriptorProto:
    found = next(one for one in file.message_type if one.name == message)
    return next(field for field in found.field if field.name == name)


def _display(file: File, name: str, message: str = "RunScriptRequest") -> options_pb2.FieldDisplay:
    return _field(file, message, name).options.Extensions[options_pb2.field]


def _rules(file: File, name: str, message: str = "RunScriptRequest") -> Any:
    options: Any = _field(file, message, name).options
    return options.Extensions[validate_descriptor.field]


def _budget(file: File, **changes: Any) -> None:
    facts = {"name": "api", "limit": 10, "window": {"seconds": 60}, **changes}
    _module(file).budgets.add(**facts)
    _action(file).budget = "api"


def _set(target: Callable[[File], Any], name: str, value: Any) -> Callable[[File], None]:
    return lambda file: setattr(target(file), name, value)


def _shown(file: File, field: str, **values: Any) -> None:
    _display(file, "timeout").visible_when.add(field=field, **values)


def _any(file: File) -> None:
    file.dependency.append(any_pb2.DESCRIPTOR.name)
    message = next(one for one in file.message_type if one.name == "RunScriptRequest")
    message.field.add(name="any", number=90, type=11, label=1, type_name=".google.protobuf.Any")


def _keyed(file: File, seconds: int = 60) -> None:
    _action(file).vendor_keyed.window.seconds = seconds


def _options(file: File) -> descriptor_pb2.MethodOptions:
    return _method(file).options


def _picker(file: File) -> options_pb2.Picker:
    return _module(file).pickers[0]


def _shared(file: File) -> Any:
    return _module(file).failures


def _both(*changes: Callable[[File], Any]) -> Callable[[File], None]:
    def apply(file: File) -> None:
        for change in changes:
            change(file)

    return apply


READ, IDEMPOTENT = 1, 2
DEFECTS: list[tuple[str, Callable[[File], Any]]] = [
    ("has no (patchbay.v1.module) option", lambda file: file.service[0].options.ClearExtension(options_pb2.module)),
    ("the module has no label", _set(_module, "label", " ")),
    ("the module has no tile_kind", _set(_module, "tile_kind", 0)),
    ("`app:` is for tiles of kind APP", _set(_module, "group_key", "tacticalrmm")),
    ("is not lower-case letters", _set(_module, "group_key", "app:Tactical RMM")),
    ("an app tile needs an availability_key", _set(_module, "availability_key", "")),
    ("default_action `x.y` is not an action", _set(_module, "default_action", "x.y")),
    ("connection_message `a.B` is not known", _set(_module, "connection_message", "a.B")),
    ("must begin with `other.`", _set(_module, "group_key", "app:other")),
    (
        "rpc RunScript has no (patchbay.v1.action) option",
        lambda file: _options(file).ClearExtension(options_pb2.action),
    ),
    ("version 1 is declared 2 times", _set(_action, "id", "tacticalrmm.agents.get")),
    ("the id is not of the form", _set(_action, "id", "tacticalrmm.RunScript")),
    ("it has no label", _set(_action, "label", " ")),
    ("permission `Admin Only` is not of the form", _set(_action, "permission", "Admin Only")),
    ("does not say since when", lambda file: _action(file).deprecation.SetInParent()),
    ("the timeout must be positive", _set(lambda file: _action(file).timeout, "seconds", 0)),
    ("the timeout must be positive", _set(lambda file: _module(file).default_timeout, "seconds", -1)),
    ("agents.get`: the timeout must be positive", lambda file: _module(file).ClearField("default_timeout")),
    ("max_timeout is shorter", _set(lambda file: _action(file).max_timeout, "seconds", 5)),
    ("max_attempts must be at least 1", _set(lambda file: _action(file).retry, "max_attempts", 0)),
    ("must not be shorter than", _set(lambda file: _action(file).retry.initial_backoff, "seconds", 7000)),
    (
        "NO_SIDE_EFFECTS contradicts opaque",
        _both(_set(_options, "idempotency_level", READ), _set(_action, "opaque", True)),
    ),
    ("NO_SIDE_EFFECTS contradicts vendor_keyed", _both(_set(_options, "idempotency_level", READ), _keyed)),
    (
        "IDEMPOTENT contradicts opaque",
        _both(_set(_options, "idempotency_level", IDEMPOTENT), _set(_action, "opaque", True)),
    ),
    ("IDEMPOTENT contradicts vendor_keyed", _both(_set(_options, "idempotency_level", IDEMPOTENT), _keyed)),
    ("opaque contradicts vendor_keyed", _both(_set(_action, "opaque", True), _keyed)),
    ("vendor_keyed needs a positive window", lambda file: _keyed(file, 0)),
    ("streams cannot be actions", _set(_method, "server_streaming", True)),
    ("AGENT_OFFLINE of the module is declared 2 times", lambda file: _shared(file).add(reason="AGENT_OFFLINE")),
    ("NEVER of the module is named by no action", lambda file: _shared(file).add(reason="NEVER", description="Never.")),
    ("AGENT_OFFLINE is the module's", _set(lambda file: _action(file).failures[0], "remedy", "Another.")),
    ("failure AGENT_OFFLINE has no description", lambda file: _shared(file).pop()),
    ("AGENT_OFFLINE is declared 2 times", _set(lambda file: _action(file).failures[1], "reason", "AGENT_OFFLINE")),
    ("`Offline` is not UPPER_SNAKE_CASE", _set(lambda file: _action(file).failures[0], "reason", "Offline")),
    ("NOT_FOUND is a common one", _set(lambda file: _action(file).failures[0], "reason", "NOT_FOUND")),
    ("failure AGENT_OFFLINE has no description", _set(lambda file: _shared(file)[0], "description", "")),
    ("budget `api` is not declared by the module", _set(_action, "budget", "api")),
    ("which is not an input field", lambda file: _budget(file, scope_fields=["channel"])),
    ("it names none of the module's budgets", _both(_budget, lambda file: _module(file).budgets.add(name="other"))),
    ("unmetered contradicts its budget", _both(_budget, _set(_action, "unmetered", True))),
    ("unmetered is for modules with budgets", _set(_action, "unmetered", True)),
    ("budget `api` needs a limit", lambda file: _budget(file, limit=0)),
    ("budget `api` needs a positive window", lambda file: _budget(file, window={})),
    ("budget `api` needs a name of its own", _both(_budget, _budget)),
    ("example_inputs[1] is no JSON", lambda file: _action(file).example_inputs.append("{")),
    ("example_inputs[1] agent: unknown field", lambda file: _action(file).example_inputs.append('{"agent": 1}')),
    ("example_inputs[1] agent_id: does not match", lambda file: _action(file).example_inputs.append("{}")),
    ("default_json is no JSON", _set(lambda file: _display(file, "timeout"), "default_json", "ninety")),
    ("default_json must be a whole number", _set(lambda file: _display(file, "timeout"), "default_json", '"90"')),
    ("breaks the field's own rule", _set(lambda file: _display(file, "timeout"), "default_json", "0")),
    ("needs a field with presence", _set(lambda file: _display(file, "run_as_user"), "default_json", "true")),
    (
        "a member of a oneof cannot have a default",
        _set(lambda file: _display(file, "login", "TacticalRmmConnection"), "default_json", "{}"),
    ),
    (
        "a secret field cannot have a default",
        _set(lambda file: _field(file, "RunScriptRequest", "timeout").options, "debug_redact", True),
    ),
    (
        "a secret field cannot have a picker",
        lambda file: _display(file, "env_vars").picker.choices.add(value="A=1"),
    ),
    ("names the unknown field `nothing`", lambda file: _shown(file, "nothing", equals_json=["1"])),
    ("names the field itself", lambda file: _shown(file, "timeout", equals_json=["1"])),
    ("compares with nothing", lambda file: _shown(file, "run_as_user")),
    ("is no JSON literal", lambda file: _shown(file, "run_as_user", equals_json=["yes"])),
    ("must be true or false", lambda file: _shown(file, "run_as_user", equals_json=["1"])),
    ("cut_bytes is for text only", _set(lambda file: _display(file, "timeout"), "cut_bytes", 1000)),
    ("leave room for the marker", _set(lambda file: _display(file, "script_id"), "cut_bytes", 10)),
    ("google.protobuf.Any has no schema", _any),
    ("a validation rule is malformed", lambda file: _rules(file, "script_id").cel_expression.append("this +")),
    ("a validation rule is malformed", _set(lambda file: _rules(file, "script_id").int32, "gte", 3)),
    ("fields is for pickers", lambda file: _display(file, "script_id").picker.fields.append("script_id")),
    ("label is for pickers", _set(lambda file: _display(file, "script_id").picker, "label", "Script")),
    ("2 pickers are for fields named `agent_id`", lambda file: _module(file).pickers.add(fields=["agent_id"])),
    ("picker of `x`: it is for no fields", lambda file: _module(file).pickers.add(action="x")),
    ("picker for `unused`: no input", lambda file: _picker(file).fields.append("unused")),
    ("picker for `live`: no input", lambda file: _picker(file).fields.append("live")),
    ("value_path `agent_online` is of another type", _set(_picker, "value_path", "agent_online")),
    ("either an action or choices", lambda file: _picker(file).choices.add(value="x")),
    ("either an action or choices", _set(_picker, "action", "")),
    ("`x.y` is not an action of the module", _set(_picker, "action", "x.y")),
    ("is not READ", _set(_picker, "action", "tacticalrmm.agents.reboot")),
    ("items_path `rows` is no list", _set(_picker, "items_path", "rows")),
    ("items_path `count` is no list", _set(_picker, "items_path", "count")),
    ("value_path is missing", _set(lambda file: _display(file, "script_id").picker, "value_path", "")),
    ("label_path `name` is no plain value", _set(_picker, "label_path", "name")),
    ("detail_path `last_seen_at.seconds` is no plain", _set(_picker, "detail_path", "last_seen_at.seconds")),
    ("search_field `limit` is no text input", _set(_picker, "search_field", "limit")),
    ("limit_field `query` is no integer input", _set(_picker, "limit_field", "query")),
    ("depends_on `site` is no field of", lambda file: _picker(file).depends_on.append("site")),
    ("depends_on `script_id` is no input of", lambda file: _picker(file).depends_on.append("script_id")),
    ("fixed_input_json is no JSON", _set(_picker, "fixed_input_json", "{")),
    ("fixed_input_json live: must be true or false", _set(_picker, "fixed_input_json", '{"live": 1}')),
    (
        "two choices have the same value",
        lambda file: _display(file, "shell", "RunCommandRequest").picker.choices.add(value="cmd"),
    ),
    (
        "items_path needs an action",
        _set(lambda file: _display(file, "shell", "RunCommandRequest").picker, "items_path", "x"),
    ),
]


@pytest.mark.parametrize(
    ("sentence", "plant"), DEFECTS, ids=[f"{n}-{text[:40]}" for n, (text, _) in enumerate(DEFECTS)]
)
def test_defect_is_refused(sentence: str, plant: Callable[[File], Any]) -> None:
    """A module with the defect cannot be read, and the error says which it is."""
    file = _copy()
    plant(file)
    with pytest.raises(ContractError) as raised:
        read_module(_service(file))
    assert any(sentence in defect for defect in raised.value.defects), raised.value.defects


def test_all_defects_are_told_at_once() -> None:
    """One error lists every defect, each with the action it belongs to."""
    file = _copy()
    _module(file).label = ""
    _action(file).label = " "
    _action(file, "GetAgent").timeout.seconds = 0
    with pytest.raises(ContractError) as raised:
        read_module(_service(file))
    assert raised.value.defects == (
        "the module has no label",
        "action `tacticalrmm.agents.get`: the timeout must be positive",
        "action `tacticalrmm.agents.run_script`: it has no label",
    )


def test_effects_are_derived() -> None:
    """The effect class follows from idempotency_level, opaque and vendor_keyed."""
    file = _copy()
    _method(file).options.idempotency_level = descriptor_pb2.MethodOptions.IDEMPOTENT
    _action(file, "RebootAgent").vendor_keyed.window.seconds = 90
    module = read_module(_service(file))
    effects = {action.id.split(".")[-1]: EffectClass.Name(action.effect) for action in module.actions}
    assert effects["find"] == "EFFECT_CLASS_READ"
    assert effects["run_script"] == "EFFECT_CLASS_IDEMPOTENT"
    assert effects["run_command"] == "EFFECT_CLASS_OPAQUE"
    assert effects["reboot"] == "EFFECT_CLASS_VENDOR_KEYED"
    assert {action.vendor_keyed_window for action in module.actions} == {None, 90.0}


def test_what_is_left_out_gets_its_default() -> None:
    """Category, icon, permission, ceiling, retry and default action come from where the options say."""
    file = _copy()
    _module(file).default_action = ""
    _action(file).ClearField("retry")
    module = read_module(_service(file))
    action = next(action for action in module.actions if action.id == "tacticalrmm.agents.run_script")
    assert module.default_action == "tacticalrmm.agents.find"
    assert (action.category, action.icon, action.permission) == ("Tactical RMM", "tacticalrmm", action.id)
    assert action.max_timeout == action.timeout == 3720.0
    assert (action.retry.max_attempts, action.retry.initial_backoff.seconds) == (3, 30)
    assert action.rpc.endswith(".TacticalRmm/RunScript")
    assert action.key == ("tacticalrmm.agents.run_script", 1)


def test_budget_is_attached() -> None:
    """An action that spends a budget has its definition."""
    file = _copy()
    for name in ("FindAgents", "ListScripts"):
        _action(file, name).unmetered = True
    _budget(file, scope_fields=["agent_id"], window={"seconds": 1, "nanos": 500_000_000})
    action = next(one for one in read_module(_service(file)).actions if one.budget)
    assert action.budget is not None
    assert (action.budget.limit, action.budget.window, action.budget.scope_fields) == (10, 1.5, ("agent_id",))


def test_an_only_budget_is_spent_by_every_action_that_does_not_say_otherwise() -> None:
    """A module with one budget forgets no action; one that spends none says so."""
    file = _copy()
    _module(file).budgets.add(name="api", limit=10, window={"seconds": 60})
    _action(file, "GetAgent").unmetered = True
    unmetered = {action.id for action in read_module(_service(file)).actions if action.budget is None}
    assert unmetered == {"tacticalrmm.agents.get"}


def test_what_the_module_says_holds_where_an_action_is_silent() -> None:
    """Label, version 1, the module's timeout, failure and picker are read as if each action said them."""
    actions = {action.id: action for action in read_module(_service(_copy())).actions}
    reboot, run = actions["tacticalrmm.agents.reboot"], actions["tacticalrmm.agents.run_script"]
    assert (reboot.version, reboot.timeout, run.timeout) == (1, 60.0, 3720.0)
    assert reboot.label == "Reboot agent"
    assert reboot.failures[0] == run.failures[0]
    assert (reboot.failures[0].retryable, reboot.failures[0].remedy) == (True, "Try again when the agent is online.")
    assert reboot.pickers["agent_id"].action == "tacticalrmm.agents.find"
    assert reboot.pickers["agent_id"] == run.pickers["agent_id"]
    assert reboot.input.schema.bundled["properties"]["agent_id"]["title"] == "Agent"


def test_a_field_keeps_its_own_label_beside_a_picker_of_the_module() -> None:
    """The label of a module's picker is for fields without one."""
    file = _copy()
    _display(file, "agent_id").label = "Endpoint"
    action = next(one for one in read_module(_service(file)).actions if one.id.endswith("run_script"))
    assert action.ui_schema["agent_id"]["label"] == "Endpoint"
    assert action.ui_schema["script_id"]["label"] == "Script"


def test_comments_of_a_module_from_outside_come_from_its_own_descriptor_set() -> None:
    """Descriptions are read from the descriptor set that the module brings."""
    file = _copy()
    service = _service(file)
    location = file.source_code_info.location.add(path=[6, 0, 2, 0], span=[1, 1, 1])
    location.leading_comments = " Finds\n agents.\n\n Really.\n"
    image = descriptor_pb2.FileDescriptorSet(file=[file]).SerializeToString()
    found = next(action for action in read_module(service, image).actions if action.id.endswith("find"))
    assert found.description == "Finds agents.\n\nReally."
    assert read_module(service).actions[0].description == ""


def test_own_modules_have_descriptions_everywhere() -> None:
    """Every action and every field of every module of the repository is described."""
    for module in own_modules():
        for action in module.actions:
            assert action.description
            for contract in (action.input, action.output):
                properties = contract.schema.bundled["properties"]
                assert all(one.get("description") for one in properties.values()), contract.descriptor.full_name
