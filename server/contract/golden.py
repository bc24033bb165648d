"""Everything observable of a module as one JSON document, for review and comparison."""

import json
from typing import Any

from google.protobuf import json_format

from server.contract.definitions import ActionDefinition, EffectClass, MessageContract, ModuleDefinition
from server.contract.ui import picker_json
from server.gen.patchbay.v1 import options_pb2


def golden(module: ModuleDefinition) -> str:
    """Returns the document as indented JSON text with a line feed at its end."""
    document = {
        "group_key": module.group_key,
        "label": module.label,
        "description": module.description,
        "icon": module.icon,
        "tile_kind": options_pb2.TileKind.Name(module.tile_kind),
        "default_action": module.default_action,
        "availability_key": module.availability_key,
        "provider": module.provider,
        "service": module.service.full_name,
        "connection": _message(module.connection) if module.connection else None,
        "actions": [_action(action) for action in module.actions],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _action(action: ActionDefinition) -> dict[str, Any]:
    return {
        "id": action.id,
        "version": action.version,
        "label": action.label,
        "description": action.description,
        "category": action.category,
        "icon": action.icon,
        "effect": EffectClass.Name(action.effect),
        "timeout": action.timeout,
        "max_timeout": action.max_timeout,
        "retry": _plain(action.retry),
        "permission": action.permission,
        "budget": action.budget.name if action.budget else None,
        "vendor_url": action.vendor_url,
        "vendor_keyed_window": action.vendor_keyed_window,
        "deprecation": _plain(action.deprecation) if action.deprecation else None,
        "rpc": action.rpc,
        "failures": [_plain(failure) for failure in action.failures],
        "examples": list(action.examples),
        "pickers": {path: picker_json(picker) for path, picker in action.pickers.items()},
        "ui_schema": action.ui_schema,
        "input": _message(action.input),
        "output": _message(action.output),
    }


def _message(contract: MessageContract) -> dict[str, Any]:
    return {
        "message": contract.descriptor.full_name,
        "fields": list(contract.fields),
        "has_secrets": contract.has_secrets,
        "schema_hash": contract.schema.hash,
        "unmapped_rules": list(contract.schema.unmapped),
        "schema": contract.schema.inlined,
    }


def _plain(message: Any) -> dict[str, Any]:
    printed: dict[str, Any] = json_format.MessageToDict(message, preserving_proto_field_name=True)
    return printed
