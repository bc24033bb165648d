"""Sign-ins in the browser: which setting takes the code, and where a person signs in."""

from collections.abc import Mapping
from typing import Any

from google.protobuf.struct_pb2 import Struct

from server.contract.signing_in import sign_in_fields
from server.core.connection_checks import parsed
from server.core.connection_records import contract_of, egress_of
from server.core.refusals import FieldViolation, Refusal
from server.core.registry import RegisteredModule
from server.gen.patchbay.v1 import connections_pb2
from server.sdk.failures import ActionFailure
from server.sdk.http.target import Target
from server.sdk.module import SignIn


def sign_in_field(module: RegisteredModule) -> str:
    """Returns the path of the setting that takes the code; empty when the module has no sign-in."""
    return next(sign_in_fields(contract_of(module).descriptor), "")


def sign_in_address(
    module: RegisteredModule, settings: Struct, grant: connections_pb2.EgressGrant, sign_in: SignIn
) -> str:
    """Returns the address at which a person signs in.

    Raises:
        Refusal: INPUT_INVALID, with every field at fault.
        ActionFailure: The vendor's address cannot be used, or is not one that this connection may reach.
    """
    hook, path = module.module.sign_in, sign_in_field(module)
    if hook is None:
        violation = FieldViolation("provider", f"{module.definition.label} has no sign-in.", "provider.sign_in")
        raise Refusal("INPUT_INVALID", "The provider has no sign-in in the browser.", violations=[violation])
    message = parsed(module, _completed(settings, path, sign_in), grant)
    allowed = egress_of(grant)
    target = Target.parse(hook(message, sign_in), allowed)
    if (address := module.module.instance_url) and Target.parse(address(message), allowed).origin != target.origin:
        raise ActionFailure("EGRESS_REFUSED", "The sign-in is at another address than the connection's own.")
    return target.url


def _completed(settings: Struct, path: str, sign_in: SignIn) -> Struct:
    """Returns the settings with a dummy in place of the code, so that the others are checked by the whole contract."""
    completed = Struct()
    completed.CopyFrom(settings)
    here: Any = completed
    for name in path.split("."):
        here = here.get_or_create_struct(name)
    dummy: Mapping[str, str] = {"code": "-", "code_verifier": "-" * 43, "redirect_uri": sign_in.redirect_uri}
    here.update(dummy)
    return completed
