"""Reading the options of services and methods."""

from collections.abc import Sequence
from typing import Final

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.duration_pb2 import Duration

from server.contract.labels import rpc_label
from server.gen.patchbay.v1 import failure_pb2, options_pb2

COMMON_REASONS: Final = frozenset(
    name.removeprefix("FAILURE_REASON_") for name in failure_pb2.FailureReason.DESCRIPTOR.values_by_name
)


def module_options(service: ServiceDescriptor) -> options_pb2.ModuleOptions:
    """Returns the service's module options; empty ones when it declares none."""
    return service.GetOptions().Extensions[options_pb2.module]


def action_options(method: MethodDescriptor) -> options_pb2.ActionOptions:
    """Returns what holds for the method's action: its own options, the rest as its module says; empty ones when it
    declares no action."""
    declared = method.GetOptions().Extensions[options_pb2.action]
    if not is_action(method):
        return declared
    module = module_options(method.containing_service)
    options = options_pb2.ActionOptions()
    options.CopyFrom(declared)
    options.version = options.version or 1
    options.label = options.label or rpc_label(method.name)
    if not options.HasField("timeout") and module.HasField("default_timeout"):
        options.timeout.CopyFrom(module.default_timeout)
    if len(module.budgets) == 1 and not options.unmetered:
        options.budget = options.budget or module.budgets[0].name
    shared = {failure.reason: failure for failure in module.failures}
    for failure in options.failures:
        if failure.reason in shared and is_reference(failure):
            failure.CopyFrom(shared[failure.reason])
    return options


def declared_failures(method: MethodDescriptor) -> Sequence[options_pb2.DeclaredFailure]:
    """Returns the failures in the action's own words, some of which may be a reason alone."""
    return method.GetOptions().Extensions[options_pb2.action].failures


def is_reference(failure: options_pb2.DeclaredFailure) -> bool:
    """Tells whether an action gives the reason alone and so means its module's failure."""
    return failure == options_pb2.DeclaredFailure(reason=failure.reason)


def is_action(method: MethodDescriptor) -> bool:
    """Tells whether the rpc declares an action."""
    return method.GetOptions().HasExtension(options_pb2.action)


def effect_of(method: MethodDescriptor) -> options_pb2.EffectClass.ValueType:
    """Derives what repeating the action does from `idempotency_level`, `opaque` and `vendor_keyed`."""
    options = action_options(method)
    if options.opaque:
        return options_pb2.EFFECT_CLASS_OPAQUE
    if options.HasField("vendor_keyed"):
        return options_pb2.EFFECT_CLASS_VENDOR_KEYED
    level = method.GetOptions().idempotency_level
    if level == MethodOptions.NO_SIDE_EFFECTS:
        return options_pb2.EFFECT_CLASS_READ
    if level == MethodOptions.IDEMPOTENT:
        return options_pb2.EFFECT_CLASS_IDEMPOTENT
    return options_pb2.EFFECT_CLASS_NON_IDEMPOTENT


def seconds(span: Duration) -> float:
    """Returns a duration in seconds."""
    return span.seconds + span.nanos / 1e9
