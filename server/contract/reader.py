"""Reads a module's contract from its service descriptor."""

import json
from typing import Any, Final

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.duration_pb2 import Duration

from server.contract.checks import action_defects, module_defects
from server.contract.comments import Comments, own_comments, read_comments
from server.contract.definitions import ActionDefinition, BudgetDefinition, MessageContract, ModuleDefinition
from server.contract.options import action_options, effect_of, module_options, seconds
from server.contract.problems import ContractError
from server.contract.schema import Schema
from server.contract.shapes import has_secrets
from server.contract.ui import pickers_of, ui_schema
from server.gen.patchbay.v1 import options_pb2

__all__ = ["ContractError", "message_contract", "read_module"]

_RETRY_READ: Final = options_pb2.RetryHint(
    max_attempts=3, initial_backoff=Duration(seconds=1), max_backoff=Duration(seconds=30)
)
_RETRY_WRITE: Final = options_pb2.RetryHint(
    max_attempts=3, initial_backoff=Duration(seconds=30), max_backoff=Duration(seconds=900)
)


def read_module(service: ServiceDescriptor, descriptor_set: bytes | None = None) -> ModuleDefinition:
    """Returns the module that a service declares.

    Args:
        service: A service with the `(patchbay.v1.module)` option.
        descriptor_set: Serialized FileDescriptorSet with source info, for the comments of modules outside
            this repository. None: the module is one of this repository.

    Raises:
        ContractError: With every defect of the contract.
    """
    defects = [*module_defects(service)]
    for method in service.methods:
        defects += action_defects(service, method)
    if defects:
        raise ContractError(service.full_name, dict.fromkeys(defects))
    comments = own_comments() if descriptor_set is None else read_comments(descriptor_set)
    return _module(service, comments)


def message_contract(descriptor: Descriptor, comments: Comments | None = None) -> MessageContract:
    """Returns the contract of one message. Comments default to this repository's."""
    return MessageContract(
        descriptor=descriptor,
        message_class=message_factory.GetMessageClass(descriptor),
        fields=tuple(sorted(field.name for field in descriptor.fields)),
        schema=Schema(descriptor, own_comments() if comments is None else comments),
        has_secrets=has_secrets(descriptor),
    )


def _module(service: ServiceDescriptor, comments: Comments) -> ModuleDefinition:
    options = module_options(service)
    actions = [_action(service, method, comments) for method in service.methods]
    actions.sort(key=lambda action: (action.label, action.id, action.version))
    return ModuleDefinition(
        group_key=options.group_key,
        label=options.label,
        description=options.description,
        icon=options.icon,
        tile_kind=options.tile_kind,
        default_action=options.default_action or (actions[0].id if actions else ""),
        availability_key=options.availability_key,
        provider=options.group_key.removeprefix("app:"),
        connection=_connection(service, options.connection_message, comments),
        budgets=_budgets(options),
        actions=tuple(actions),
        service=service,
    )


def _connection(service: ServiceDescriptor, name: str, comments: Comments) -> MessageContract | None:
    if not name:
        return None
    return message_contract(service.file.pool.FindMessageTypeByName(name), comments)


def _retry(effect: options_pb2.EffectClass.ValueType) -> options_pb2.RetryHint:
    return _RETRY_READ if effect == options_pb2.EFFECT_CLASS_READ else _RETRY_WRITE


def _action(service: ServiceDescriptor, method: MethodDescriptor, comments: Comments) -> ActionDefinition:
    module, options = module_options(service), action_options(method)
    keyed = options.HasField("vendor_keyed")
    return ActionDefinition(
        id=options.id,
        version=options.version,
        label=options.label,
        description=comments.get(method.full_name, ""),
        category=options.category or module.label,
        icon=options.icon or module.icon,
        group_key=module.group_key,
        effect=effect_of(method),
        timeout=seconds(options.timeout),
        max_timeout=seconds(options.max_timeout if options.HasField("max_timeout") else options.timeout),
        retry=options.retry if options.HasField("retry") else _retry(effect_of(method)),
        failures=tuple(options.failures),
        permission=options.permission or options.id,
        budget=next((one for one in _budgets(module) if one.name == options.budget), None),
        vendor_url=options.vendor_url,
        vendor_keyed_window=seconds(options.vendor_keyed.window) if keyed else None,
        deprecation=options.deprecation if options.HasField("deprecation") else None,
        examples=tuple(_example(text) for text in options.example_inputs),
        rpc=f"/{service.full_name}/{method.name}",
        method=method,
        input=message_contract(method.input_type, comments),
        output=message_contract(method.output_type, comments),
        pickers=pickers_of(method.input_type),
        ui_schema=ui_schema(method.input_type, comments),
    )


def _example(text: str) -> dict[str, Any]:
    example: dict[str, Any] = json.loads(text)
    return example


def _budgets(module: options_pb2.ModuleOptions) -> tuple[BudgetDefinition, ...]:
    return tuple(
        BudgetDefinition(
            name=budget.name,
            limit=budget.limit,
            window=seconds(budget.window),
            scope_fields=tuple(budget.scope_fields),
        )
        for budget in module.budgets
    )
