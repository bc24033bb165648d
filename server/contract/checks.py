"""The contradictions that a module's contract may hold. Each function yields one sentence per defect."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions

from server.contract.defaults import apply_defaults
from server.contract.field_checks import message_defects
from server.contract.options import (
    COMMON_REASONS,
    action_options,
    declared_failures,
    is_action,
    is_reference,
    module_options,
    seconds,
)
from server.contract.parsing import parser_for, too_deep
from server.contract.picker_checks import picker_defects, shared_picker_defects
from server.contract.problems import ContractError, Violation
from server.contract.validation import violations_of
from server.gen.patchbay.v1 import options_pb2

_ID: Final = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)+")
_GROUP: Final = re.compile(r"[a-z0-9_-]+")
_REASON: Final = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
_PERMISSION: Final = re.compile(r"[a-z0-9_]+(\.([a-z0-9_]+|\*))*")
_APP: Final = "app:"


def module_defects(service: ServiceDescriptor) -> Iterator[str]:
    """Yields the defects of the tile, its budgets and its connection message."""
    if not service.GetOptions().HasExtension(options_pb2.module):
        yield "the service has no (patchbay.v1.module) option"
        return
    options = module_options(service)
    yield from _tile_defects(options)
    yield from _budget_defects(options)
    yield from _shared_failure_defects(service)
    yield from shared_picker_defects(service)
    yield from _identity_defects(service)
    if options.connection_message:
        yield from _connection_defects(service, options.connection_message)


def _tile_defects(options: options_pb2.ModuleOptions) -> Iterator[str]:
    app = options.tile_kind == options_pb2.TILE_KIND_APP
    if not options.label.strip():
        yield "the module has no label"
    if options.tile_kind not in options_pb2.TileKind.values() or not options.tile_kind:
        yield "the module has no tile_kind"
    if app != options.group_key.startswith(_APP):
        yield f"group_key `{options.group_key}`: `app:` is for tiles of kind APP, and for all of them"
    if not _GROUP.fullmatch(options.group_key.removeprefix(_APP)):
        yield f"group_key `{options.group_key}` is not lower-case letters, digits, `_` and `-`"
    if app and not options.availability_key:
        yield "an app tile needs an availability_key"


def _budget_defects(options: options_pb2.ModuleOptions) -> Iterator[str]:
    for name, count in Counter(budget.name for budget in options.budgets).items():
        if count > 1 or not name:
            yield f"budget `{name}` needs a name of its own"
    for budget in options.budgets:
        if budget.limit < 1:
            yield f"budget `{budget.name}` needs a limit of at least 1"
        if seconds(budget.window) <= 0:
            yield f"budget `{budget.name}` needs a positive window"


def _shared_failure_defects(service: ServiceDescriptor) -> Iterator[str]:
    shared = Counter(failure.reason for failure in module_options(service).failures)
    declared = [failure for method in service.methods for failure in declared_failures(method)]
    named = {failure.reason for failure in declared if is_reference(failure)}
    for reason, count in shared.items():
        if count > 1:
            yield f"failure {reason} of the module is declared {count} times"
        if reason not in named:
            yield f"failure {reason} of the module is named by no action"
    for reason in sorted({failure.reason for failure in declared if not is_reference(failure)} & shared.keys()):
        yield f"failure {reason} is the module's; an action gives its reason alone"


def _identity_defects(service: ServiceDescriptor) -> Iterator[str]:
    options = module_options(service)
    actions = [action_options(method) for method in service.methods if is_action(method)]
    for (name, version), count in Counter((one.id, one.version) for one in actions).items():
        if count > 1:
            yield f"action `{name}` version {version} is declared {count} times"
    if options.default_action and options.default_action not in {one.id for one in actions}:
        yield f"default_action `{options.default_action}` is not an action of the module"
    if options.tile_kind == options_pb2.TILE_KIND_APP:
        provider = options.group_key.removeprefix(_APP)
        for one in actions:
            if one.id.split(".")[0] != provider:
                yield f"action `{one.id}` must begin with `{provider}.`, as its group does"


def _connection_defects(service: ServiceDescriptor, name: str) -> Iterator[str]:
    try:
        descriptor = service.file.pool.FindMessageTypeByName(name)
    except KeyError:
        yield f"connection_message `{name}` is not known"
        return
    yield from message_defects(descriptor)
    yield from picker_defects(service, descriptor)


def action_defects(service: ServiceDescriptor, method: MethodDescriptor) -> Iterator[str]:
    """Yields the defects of one rpc of a module."""
    if not is_action(method):
        yield f"rpc {method.name} has no (patchbay.v1.action) option"
        return
    options = action_options(method)
    found = [*_own_defects(options), *_time_defects(options), *_effect_defects(method)]
    found += [*_failure_defects(options), *_scope_defects(service, method)]
    if method.client_streaming or method.server_streaming:
        found.append("streams cannot be actions")
    shapes = [
        *(defect for one in (method.input_type, method.output_type) for defect in message_defects(one)),
        *picker_defects(service, method.input_type),
    ]
    # Examples need a sound input message; they would only repeat its defects.
    found += shapes or _example_defects(method)
    yield from (f"action `{options.id or method.name}`: {defect}" for defect in found)


def _own_defects(options: options_pb2.ActionOptions) -> Iterator[str]:
    if not _ID.fullmatch(options.id):
        yield "the id is not of the form `provider.noun.verb`, lower case"
    if not options.label.strip():
        yield "it has no label"
    if options.permission and not _PERMISSION.fullmatch(options.permission):
        yield f"permission `{options.permission}` is not of the form `provider.noun.verb`"
    if options.HasField("deprecation") and not options.deprecation.since:
        yield "the deprecation does not say since when"


def _time_defects(options: options_pb2.ActionOptions) -> Iterator[str]:
    timeout, retry = seconds(options.timeout), options.retry
    if timeout <= 0:
        yield "the timeout must be positive"
    if options.HasField("max_timeout") and seconds(options.max_timeout) < timeout:
        yield "max_timeout is shorter than timeout"
    if not options.HasField("retry"):
        return
    if retry.max_attempts < 1:
        yield "retry.max_attempts must be at least 1"
    if seconds(retry.initial_backoff) < 0 or seconds(retry.max_backoff) < seconds(retry.initial_backoff):
        yield "retry.max_backoff must not be shorter than retry.initial_backoff, which must not be negative"


def _effect_defects(method: MethodDescriptor) -> Iterator[str]:
    options, level = action_options(method), method.GetOptions().idempotency_level
    keyed = options.HasField("vendor_keyed")
    for name, given in (("opaque", options.opaque), ("vendor_keyed", keyed)):
        if given and level == MethodOptions.NO_SIDE_EFFECTS:
            yield f"NO_SIDE_EFFECTS contradicts {name}"
        if given and level == MethodOptions.IDEMPOTENT:
            yield f"IDEMPOTENT contradicts {name}"
    if keyed and options.opaque:
        yield "opaque contradicts vendor_keyed"
    if keyed and seconds(options.vendor_keyed.window) <= 0:
        yield "vendor_keyed needs a positive window"


def _failure_defects(options: options_pb2.ActionOptions) -> Iterator[str]:
    for reason, count in Counter(failure.reason for failure in options.failures).items():
        if count > 1:
            yield f"failure {reason} is declared {count} times"
        if not _REASON.fullmatch(reason):
            yield f"failure reason `{reason}` is not UPPER_SNAKE_CASE"
        if reason in COMMON_REASONS:
            yield f"failure {reason} is a common one and must not be declared again"
    for failure in options.failures:
        if not failure.description.strip():
            yield f"failure {failure.reason} has no description, here or in the module"


def _scope_defects(service: ServiceDescriptor, method: MethodDescriptor) -> Iterator[str]:
    options = action_options(method)
    name, budgets = options.budget, {budget.name: budget for budget in module_options(service).budgets}
    if options.unmetered and (name or not budgets):
        yield "unmetered contradicts its budget" if name else "unmetered is for modules with budgets"
    if not name:
        if budgets and not options.unmetered:
            yield "it names none of the module's budgets; an action that spends none is `unmetered`"
        return
    if name not in budgets:
        yield f"budget `{name}` is not declared by the module"
        return
    for field in budgets[name].scope_fields:
        if field not in method.input_type.fields_by_name:
            yield f"budget `{name}` is split by `{field}`, which is not an input field"


def _example_defects(method: MethodDescriptor) -> Iterator[str]:
    for index, text in enumerate(action_options(method).example_inputs):
        try:
            value: Any = json.loads(text)
        except ValueError as error:
            yield f"example_inputs[{index}] is no JSON: {error}"
            continue
        for violation in _violations(method.input_type, value):
            yield f"example_inputs[{index}] {violation.field}: {violation.message}"


def _violations(descriptor: Descriptor, value: Any) -> list[Violation]:
    if too_deep(value):
        return [Violation("", "is nested too deep", "json.depth")]
    errors: list[Violation] = []
    try:
        message = parser_for(descriptor)(value, "", errors)
    except ContractError as error:
        return [Violation("", str(error), "contract")]
    if errors:
        return errors
    apply_defaults(message)
    return list(violations_of(message))
