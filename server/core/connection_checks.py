"""What stands between a request to connect and the row: contract, grant, and the vendor's own word."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final, cast

import structlog
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

from server.contract.payload import PayloadInvalid, masked_json, parse_struct, secret_values
from server.contract.shapes import is_map, is_secret, is_well_known, message_of
from server.core.connection_records import StoredConnection, contract_of
from server.core.refusals import FieldViolation, Refusal
from server.core.registry import RegisteredModule
from server.core.vendor_clients import VendorClients, closed
from server.gen.patchbay.v1 import connections_pb2, failure_pb2
from server.sdk.context import Deadline
from server.sdk.failures import ActionFailure
from server.sdk.http import EgressGrant
from server.sdk.masking import Masker
from server.sdk.scope import CallScope, entered
from server.sdk.tokens import TokenKeeper

_CHECK_SECONDS: Final = 30.0
_ANSWER_SECONDS: Final = 1.0  # kept back from the caller's patience for storing and answering

_log = structlog.get_logger(__name__)


def parsed(module: RegisteredModule, settings: Struct, grant: connections_pb2.EgressGrant) -> Message:
    """Returns the settings as a message; raises Refusal INPUT_INVALID with every field at fault."""
    violations = _grant_violations(grant)
    message = None
    try:
        message = parse_struct(contract_of(module), settings)
    except PayloadInvalid as invalid:
        violations = [
            *(FieldViolation(_below("settings", one.field), one.message, one.rule) for one in invalid.violations),
            *violations,
        ]
    if violations or message is None:
        raise Refusal("INPUT_INVALID", "The settings cannot be used as they are.", violations=violations)
    return message


def without_secrets(message: Message) -> Mapping[str, Any]:
    """Returns the JSON of settings with every secret field left out."""
    return _shown(cast("Descriptor", message.DESCRIPTOR), masked_json(message))


async def ask_vendor(
    clients: VendorClients,
    module: RegisteredModule,
    connection: StoredConnection,
    settings: Message,
    patience: float | None,
    tokens: TokenKeeper | None = None,
) -> None:
    """Makes a client of its own and asks the vendor whether it accepts the credentials.

    Args:
        clients: Makes the client.
        module: The module.
        connection: The connection, stored or not.
        settings: Its settings.
        patience: Seconds that the caller waits. None: it did not say.
        tokens: Where tokens are kept that the vendor gives meanwhile. None: with the stored connection.

    Raises:
        ActionFailure: It does not, cannot be reached, or took longer than 30 s or the caller's patience.
            Masked.
    """
    masker = Masker(secret_values(settings))
    seconds = _seconds(patience)
    try:
        async with asyncio.timeout(seconds), entered(CallScope(Deadline.after(seconds), masker)):
            await _check(clients.make(module, connection, settings, tokens), module)
    except ActionFailure as failed:
        raise ActionFailure.of(masked(failed.failure, masker)) from None
    except TimeoutError:
        label = module.definition.label
        raise ActionFailure("TIMED_OUT", f"{label} did not answer within {seconds:.0f} s.") from None
    except Exception as error:  # noqa: BLE001 - whatever a module raises may quote a credential
        _log.error("connection_check_defect", module=module.definition.group_key, error=type(error).__name__)
        message = "The connection could not be tested because of a defect of the module."
        raise ActionFailure("INTERNAL", message) from None


async def _check(client: Any, module: RegisteredModule) -> None:
    try:
        if module.module.check is not None:
            await module.module.check(client)
    finally:
        if (close := getattr(client, "aclose", None)) is not None:
            await closed(close)


def _seconds(patience: float | None) -> float:
    if patience is None:
        return _CHECK_SECONDS
    return min(_CHECK_SECONDS, max(patience - _ANSWER_SECONDS, patience / 2))


def _grant_violations(grant: connections_pb2.EgressGrant) -> list[FieldViolation]:
    found = []
    for index, network in enumerate(grant.private_networks):
        try:
            EgressGrant.parse([network])
        except ValueError as error:
            found.append(FieldViolation(f"grant.private_networks[{index}]", str(error), "grant.network"))
    return found


def _below(parent: str, field: str) -> str:
    return f"{parent}.{field}" if field else parent


def masked(failure: failure_pb2.Failure, masker: Masker) -> failure_pb2.Failure:
    """Removes secrets from every text of a failure, and returns it."""
    failure.message = masker(failure.message)
    failure.vendor_message = masker(failure.vendor_message)
    if failure.HasField("remedy"):
        failure.remedy.text = masker(failure.remedy.text)
        failure.remedy.link = masker(failure.remedy.link)
    return failure


def _shown(descriptor: Descriptor, printed: Mapping[str, Any]) -> dict[str, Any]:
    fields = [field for field in descriptor.fields if field.name in printed and not is_secret(field)]
    return {field.name: _shown_value(field, printed[field.name]) for field in fields}


def _shown_value(field: FieldDescriptor, value: Any) -> Any:
    target = message_of(field)
    if target is None or is_well_known(target):
        return value
    if is_map(field):
        return {key: _shown(target, item) for key, item in value.items()}
    return [_shown(target, item) for item in value] if field.is_repeated else _shown(target, value)
