"""What the rest of the server knows about modules and actions: plain, immutable, read once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import Descriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message

from server.contract.problems import ContractError
from server.contract.schema import Schema
from server.gen.patchbay.v1 import options_pb2

__all__ = [
    "ActionDefinition",
    "BudgetDefinition",
    "ContractError",
    "EffectClass",
    "MessageContract",
    "ModuleDefinition",
]

EffectClass = options_pb2.EffectClass


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageContract:
    """One input, output or connection message.

    Attributes:
        descriptor: The message type.
        message_class: Its Python class.
        fields: Top-level field names, alphabetical.
        schema: Its JSON Schema in both forms.
        has_secrets: Whether any field at any depth is secret.
    """

    descriptor: Descriptor
    message_class: type[Message]
    fields: tuple[str, ...]
    schema: Schema
    has_secrets: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetDefinition:
    """How many requests a vendor allows: at most `limit` in any `window` seconds.

    Attributes:
        name: Unique within the module.
        limit: Requests.
        window: Seconds.
        scope_fields: Input fields whose values split the budget. Empty: one budget per connection.
    """

    name: str
    limit: int
    window: float
    scope_fields: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionDefinition:
    """One operation with a typed input and output.

    Attributes:
        id: `<provider>.<noun>.<verb>`.
        version: From 1.
        label: Name in the palette.
        description: The rpc's comment.
        category: Category in the palette; the module's label when the contract names none.
        icon: Token of the icon; the module's when the contract names none.
        group_key: The module's group.
        effect: What repeating it does.
        timeout: Seconds one execution may take by default.
        max_timeout: Seconds that an input may ask for at most.
        retry: How an engine should repeat a retryable failure.
        failures: Failures declared beside the common ones.
        permission: Permission that the caller needs.
        budget: Budget that each vendor request spends. None: none.
        vendor_url: The vendor's page. Empty: none.
        vendor_keyed_window: Seconds that the vendor remembers our key. None: it knows no key.
        deprecation: Why not to use it. None: it may be used.
        examples: Complete inputs.
        rpc: Full path, `/package.Service/Method`.
        method: The rpc's descriptor.
        input: The request message.
        output: The response message.
        pickers: Pickers by the path of their input field.
        ui_schema: Order, groups, widgets by input field.
    """

    id: str
    version: int
    label: str
    description: str
    category: str
    icon: str
    group_key: str
    effect: options_pb2.EffectClass.ValueType
    timeout: float
    max_timeout: float
    retry: options_pb2.RetryHint
    failures: tuple[options_pb2.DeclaredFailure, ...]
    permission: str
    budget: BudgetDefinition | None
    vendor_url: str
    vendor_keyed_window: float | None
    deprecation: options_pb2.Deprecation | None
    examples: tuple[dict[str, Any], ...]
    rpc: str
    method: MethodDescriptor
    input: MessageContract
    output: MessageContract
    pickers: Mapping[str, options_pb2.Picker]
    ui_schema: dict[str, Any]

    @property
    def key(self) -> tuple[str, int]:
        """Id and version, unique in a catalog."""
        return self.id, self.version


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleDefinition:
    """The actions of one tool and its tile.

    Attributes:
        group_key: Key of the catalog group.
        label: Name of the tile.
        description: One sentence. Empty: none.
        icon: Token of the icon.
        tile_kind: Kind of the tile.
        default_action: Id of the action inserted when the tile is dropped.
        availability_key: Name of the availability rule. Empty: always available.
        provider: `group_key` without `app:`.
        connection: Settings and credentials. None: nothing to connect.
        budgets: What the vendor allows.
        actions: By label, then id, then version.
        service: The service's descriptor.
    """

    group_key: str
    label: str
    description: str
    icon: str
    tile_kind: options_pb2.TileKind.ValueType
    default_action: str
    availability_key: str
    provider: str
    connection: MessageContract | None
    budgets: tuple[BudgetDefinition, ...]
    actions: tuple[ActionDefinition, ...]
    service: ServiceDescriptor
