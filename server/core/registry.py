"""Which modules and actions exist. Built once at the start, immutable afterwards."""

import inspect
import re
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from google.protobuf.message import Message

from server.contract.definitions import ActionDefinition, ModuleDefinition
from server.contract.reader import ContractError, read_module
from server.contract.signing_in import sign_in_fields
from server.core.refusals import Refusal
from server.sdk.context import ActionContext
from server.sdk.module import Handler, IntegrationModule, Probe


@dataclass(frozen=True, slots=True, eq=False)
class RegisteredModule:
    """A module with its contract read and checked."""

    definition: ModuleDefinition
    module: IntegrationModule[Any, Any]


@dataclass(frozen=True, slots=True, eq=False)
class RegisteredAction:
    """An action bound to its handler."""

    definition: ActionDefinition
    module: RegisteredModule
    handler: Handler
    probe: Probe | None

    @property
    def sends_at_once(self) -> bool:
        """True when the handler's first request is the write."""
        return bool(getattr(self.handler, "sends_at_once", False))

    @property
    def transactional(self) -> bool:
        """True when the handler's whole effect is in our database."""
        return bool(getattr(self.handler, "transactional", False))


class Registry:
    """Every module and action, by id."""

    def __init__(self) -> None:
        self._modules: dict[str, RegisteredModule] = {}
        self._actions: dict[str, dict[int, RegisteredAction]] = {}
        self._rpcs: dict[str, RegisteredAction] = {}

    @property
    def modules(self) -> Mapping[str, RegisteredModule]:
        """Modules by group key."""
        return MappingProxyType(self._modules)

    @property
    def actions(self) -> Iterable[RegisteredAction]:
        """Every version of every action."""
        return [action for versions in self._actions.values() for action in versions.values()]

    @property
    def consumers(self) -> Sequence[str]:
        """Providers whose connections are told of events."""
        return [one.definition.provider for one in self._modules.values() if one.module.consume is not None]

    def by_rpc(self, path: str) -> RegisteredAction | None:
        """Returns the action that an rpc path names."""
        return self._rpcs.get(path)

    def provider(self, name: str) -> RegisteredModule | None:
        """Returns the module that connects to a provider."""
        found = self._modules.get(f"app:{name}")
        return found if found and found.definition.connection else None

    def action(self, action: str, version: int = 0) -> RegisteredAction:
        """Returns an action; version 0 means the newest. Raises Refusal ACTION_UNKNOWN."""
        versions = self._actions.get(action)
        if not versions:
            raise Refusal("ACTION_UNKNOWN", f"There is no action `{action}`.{self._suggestion(action)}")
        found = versions.get(version or max(versions))
        if found is None:
            known = ", ".join(str(number) for number in sorted(versions))
            raise Refusal("ACTION_UNKNOWN", f"`{action}` has no version {version}; it has {known}.")
        return found

    def add(self, module: IntegrationModule[Any, Any]) -> None:
        """Adds a module; raises ContractError naming everything that does not fit."""
        definition = read_module(module.contract, module.descriptor_set)
        name = definition.service.full_name
        known = self._modules.get(definition.group_key)
        if known is not None:
            if known.module is module:
                return
            raise ContractError(name, [f"group key `{definition.group_key}` is taken by another module"])
        registered = RegisteredModule(definition, module)
        actions = list(_bind(registered))
        taken = [action.definition.id for action in actions if action.definition.id in self._actions]
        if taken:
            raise ContractError(
                name, [f"action `{action}` is taken by another module" for action in sorted(set(taken))]
            )
        self._modules[definition.group_key] = registered
        for action in actions:
            self._actions.setdefault(action.definition.id, {})[action.definition.version] = action
            self._rpcs[action.definition.rpc] = action

    def _suggestion(self, action: str) -> str:
        close = get_close_matches(action, self._actions, n=1)
        return f" Did you mean `{close[0]}`?" if close else ""


def _bind(registered: RegisteredModule) -> Iterable[RegisteredAction]:
    module, definition = registered.module, registered.definition
    handlers = {handler.__name__: handler for handler in module.handlers}
    wanted = {_snake(action.method.name): action for action in definition.actions}
    defects = [f"no handler `{name}` for rpc {wanted[name].rpc}" for name in sorted(wanted.keys() - handlers)]
    defects += [f"handler `{name}` has no rpc" for name in sorted(handlers.keys() - wanted)]
    defects += [f"probe of `{name}` has no handler" for name in sorted(module.probes.keys() - handlers)]
    if definition.connection is not None and module.connect is None:
        defects.append("the contract declares a connection, the module has no `connect`")
    defects += _sign_in_defects(registered)
    for name in sorted(wanted.keys() & handlers):
        defects += _type_defects(handlers[name], wanted[name])
    if defects:
        raise ContractError(definition.service.full_name, defects)
    for name, action in wanted.items():
        yield RegisteredAction(action, registered, handlers[name], module.probes.get(name))


def _sign_in_defects(registered: RegisteredModule) -> list[str]:
    connection, hook = registered.definition.connection, registered.module.sign_in
    fields = list(sign_in_fields(connection.descriptor)) if connection else []
    if len(fields) > 1:
        return [f"a connection takes one AuthorizationCode, not {' and '.join(fields)}"]
    if hook is None and fields:
        return [f"`{fields[0]}` takes an AuthorizationCode, the module has no `sign_in`"]
    return ["the module has `sign_in`, no setting takes an AuthorizationCode"] if hook and not fields else []


def _type_defects(handler: Handler, action: ActionDefinition) -> list[str]:
    if not inspect.iscoroutinefunction(handler):
        return [f"handler `{handler.__name__}` is not `async def`"]
    hints = typing.get_type_hints(handler)
    parameters = list(inspect.signature(handler).parameters)
    if len(parameters) != 2:
        return [f"handler `{handler.__name__}` must take (request, ctx)"]
    defects = []
    request, answer = hints.get(parameters[0]), hints.get("return")
    context = hints.get(parameters[1])
    if not _is_message(request, action.input.message_class):
        defects.append(f"handler `{handler.__name__}` takes {request}, not {action.input.descriptor.full_name}")
    if not _is_message(answer, action.output.message_class):
        defects.append(f"handler `{handler.__name__}` returns {answer}, not {action.output.descriptor.full_name}")
    if (typing.get_origin(context) or context) is not ActionContext:
        defects.append(f"handler `{handler.__name__}` takes {context} as context, not ActionContext")
    return defects


def _is_message(hint: Any, expected: type[Message]) -> bool:
    return isinstance(hint, type) and getattr(hint, "DESCRIPTOR", None) is expected.DESCRIPTOR


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
