"""Compares two states of the contract: what would break workflows that were built on the older one.

buf finds what breaks the wire and generated code; this finds what breaks meaning: ids, effects, permissions, limits,
defaults, failures. A finding is about an action version that both states have, so that publishing the changed action
under a new version, the old one kept, has none.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.duration_pb2 import Duration

from server.contract.compare_messages import Change, input_changes, output_changes
from server.contract.options import action_options, effect_of, is_action, module_options, seconds
from server.gen.patchbay.v1 import options_pb2

ACTION_RULES: Final = frozenset(
    {
        "action.removed",
        "action.renamed",
        "connection.removed",
        "effect.changed",
        "failure.removed",
        "failure.retryable",
        "max_timeout.shortened",
        "module.group_key",
        "permission.changed",
        "rpc.moved",
        "timeout.shortened",
        "vendor_keyed.shortened",
    }
)
_OWN_PREFIXES: Final = ("google/protobuf/", "buf/validate/")


@dataclass(frozen=True, slots=True)
class Finding:
    """One breaking change.

    Attributes:
        rule: Id of the rule, such as `limit.tightened`.
        subject: The action and version, or the connection, such as `tacticalrmm.agents.get v1`.
        message: What changed, and from what to what.
    """

    rule: str
    subject: str
    message: str


@dataclass(frozen=True, slots=True)
class _Action:
    service: ServiceDescriptor
    method: MethodDescriptor

    @property
    def options(self) -> options_pb2.ActionOptions:
        return action_options(self.method)

    @property
    def name(self) -> str:
        return f"{self.options.id} v{self.options.version}"


def compare(old_image: bytes, new_image: bytes) -> list[Finding]:
    """Returns every breaking change between two states.

    Args:
        old_image: Serialized FileDescriptorSet with imports.
        new_image: The same of the newer state.
    """
    old, new = _services(old_image), _services(new_image)
    before, after = _actions(old), _actions(new)
    findings: list[Finding] = []
    for name, action in before.items():
        if name in after:
            findings += [Finding(change.rule, name, change.message) for change in _changes(action, after[name])]
        else:
            findings += _gone(action, after)
    for service in old:
        findings += _connection(service, new)
    return findings


def _services(image: bytes) -> list[ServiceDescriptor]:
    pool = DescriptorPool()
    files = descriptor_pb2.FileDescriptorSet.FromString(image).file
    for file in files:
        pool.AddSerializedFile(file.SerializeToString())
    found = [pool.FindFileByName(file.name) for file in files if not file.name.startswith(_OWN_PREFIXES)]
    services = [service for file in found for service in file.services_by_name.values()]
    return [service for service in services if service.GetOptions().HasExtension(options_pb2.module)]


def _actions(services: list[ServiceDescriptor]) -> dict[str, _Action]:
    actions = [_Action(service, method) for service in services for method in service.methods if is_action(method)]
    return {action.name: action for action in actions}


def _gone(old: _Action, after: dict[str, _Action]) -> Iterator[Finding]:
    at_same_place = [new for new in after.values() if new.method.full_name == old.method.full_name]
    for new in at_same_place:
        yield Finding("action.renamed", old.name, f"{old.method.full_name} is now {new.name}")
    if not at_same_place and not old.options.HasField("deprecation"):
        yield Finding("action.removed", old.name, "was removed without having been deprecated before")


def _changes(old: _Action, new: _Action) -> Iterator[Change]:
    yield from _place_changes(old, new)
    yield from _option_changes(old, new)
    yield from _failure_changes(old.options, new.options)
    yield from input_changes(old.method.input_type, new.method.input_type)
    yield from output_changes(old.method.output_type, new.method.output_type)


def _place_changes(old: _Action, new: _Action) -> Iterator[Change]:
    if old.method.full_name != new.method.full_name:
        yield Change("rpc.moved", f"{old.method.full_name} became {new.method.full_name}")
    groups = module_options(old.service).group_key, module_options(new.service).group_key
    if groups[0] != groups[1]:
        yield Change("module.group_key", f"the group {groups[0]} became {groups[1]}")


def _option_changes(old: _Action, new: _Action) -> Iterator[Change]:
    names = options_pb2.EffectClass
    before, after = effect_of(old.method), effect_of(new.method)
    if before != after:
        yield Change("effect.changed", f"{names.Name(before)} became {names.Name(after)}")
    permissions = old.options.permission or old.options.id, new.options.permission or new.options.id
    if permissions[0] != permissions[1]:
        yield Change("permission.changed", f"{permissions[0]} became {permissions[1]}")
    spans = {
        "timeout.shortened": (old.options.timeout, new.options.timeout),
        "max_timeout.shortened": (_ceiling(old.options), _ceiling(new.options)),
        "vendor_keyed.shortened": (old.options.vendor_keyed.window, new.options.vendor_keyed.window),
    }
    for rule, (earlier, later) in spans.items():
        if seconds(later) < seconds(earlier):
            yield Change(rule, f"{seconds(earlier):g} s became {seconds(later):g} s")


def _ceiling(options: options_pb2.ActionOptions) -> Duration:
    return options.max_timeout if options.HasField("max_timeout") else options.timeout


def _failure_changes(old: options_pb2.ActionOptions, new: options_pb2.ActionOptions) -> Iterator[Change]:
    after = {failure.reason: failure for failure in new.failures}
    for failure in old.failures:
        if failure.reason not in after:
            yield Change("failure.removed", f"{failure.reason} is no longer declared")
        elif failure.retryable != after[failure.reason].retryable:
            yield Change("failure.retryable", f"{failure.reason}: retryable became {not failure.retryable}")


def _connection(old: ServiceDescriptor, new: list[ServiceDescriptor]) -> Iterator[Finding]:
    """Compares the settings of connections, which stay stored under no version at all."""
    name = module_options(old).connection_message
    later = next((one for one in new if module_options(one).group_key == module_options(old).group_key), None)
    if not name or later is None:
        return
    subject = f"connection of {module_options(old).group_key}"
    new_name = module_options(later).connection_message
    if not new_name:
        yield Finding("connection.removed", subject, f"{name} is no longer declared")
        return
    before, after = old.file.pool.FindMessageTypeByName(name), later.file.pool.FindMessageTypeByName(new_name)
    yield from (Finding(change.rule, subject, change.message) for change in input_changes(before, after))
