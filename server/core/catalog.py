"""What a tenant may use. Built once from the registry; tenants of equal availability share one answer."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from google.protobuf.duration_pb2 import Duration

from server.contract.definitions import ActionDefinition, MessageContract
from server.core.availability import Availabilities, Verdicts
from server.core.registry import RegisteredModule, Registry
from server.gen.patchbay.v1 import catalog_pb2, options_pb2
from server.sdk.availability import Verdict

_ANSWERS_KEPT = 256
_STATES_KEPT = 8
_KIND_ORDER = (
    options_pb2.TILE_KIND_CORE_OBJECT,
    options_pb2.TILE_KIND_TRANSFORM,
    options_pb2.TILE_KIND_AI,
    options_pb2.TILE_KIND_APP,
)


@dataclass(frozen=True, slots=True)
class _Answer:
    etag: str
    whole: bytes
    not_modified: bytes


class Catalog:
    """Groups and actions, with each tenant's availability.

    Answers are kept as bytes, per availability and not per tenant: ten thousand tenants that have connected
    the same tools cost one. How many are kept is bounded; another is joined from groups serialized already.
    """

    def __init__(self, registry: Registry, availabilities: Availabilities) -> None:
        self._registry = registry
        self._availabilities = availabilities
        modules = [one for one in registry.modules.values() if one.definition.actions]  # others have no tile
        self._groups = {module.definition.group_key: _group(module) for module in _ordered(modules)}
        self._frame = lru_cache(maxsize=_STATES_KEPT * len(self._groups))(self._serialize_group)
        self._answer = lru_cache(maxsize=_ANSWERS_KEPT)(self._render)
        self._action = lru_cache(maxsize=_ANSWERS_KEPT)(self._serialize_action)

    async def get_catalog(self, tenant: str, etag: str = "") -> bytes:
        """Returns a serialized GetCatalogResponse; a short one when `etag` is the current one."""
        answer = self._answer(await self._availabilities.of(tenant))
        return answer.not_modified if etag == answer.etag else answer.whole

    async def get_action(self, tenant: str, action: str, version: int = 0) -> bytes:
        """Returns a serialized GetActionResponse; raises Refusal ACTION_UNKNOWN."""
        found = self._registry.action(action, version)
        verdict = await self._availabilities.one(tenant, found.module)
        return self._action(found.definition.id, found.definition.version, verdict)

    def etag(self, verdicts: Verdicts) -> str:
        """Returns the etag of the catalog under these verdicts: the SHA-256 of all groups, hexadecimal."""
        return self._answer(verdicts).etag

    def snapshot(self, verdicts: Verdicts) -> catalog_pb2.CatalogSnapshot:
        """Returns the availability of every group, in the catalog's order."""
        changes = [availability_change(key, verdicts[key]) for key in self._groups]
        return catalog_pb2.CatalogSnapshot(etag=self.etag(verdicts), groups=changes)

    def _render(self, verdicts: Verdicts) -> _Answer:
        # Serialized messages of one type, written one after another, are one message with all their groups.
        body = b"".join([self._frame(key, verdicts[key]) for key in self._groups])
        etag = sha256(body).hexdigest()
        whole = catalog_pb2.GetCatalogResponse(etag=etag).SerializeToString() + body
        unchanged = catalog_pb2.GetCatalogResponse(etag=etag, not_modified=True).SerializeToString()
        return _Answer(etag, whole, unchanged)

    def _serialize_group(self, group_key: str, verdict: Verdict) -> bytes:
        group = catalog_pb2.CatalogGroup()
        group.CopyFrom(self._groups[group_key])
        group.availability.CopyFrom(availability(verdict))
        return catalog_pb2.GetCatalogResponse(groups=[group]).SerializeToString(deterministic=True)

    def _serialize_action(self, action: str, version: int, verdict: Verdict) -> bytes:
        message = _definition(self._registry.action(action, version).definition)
        message.availability.CopyFrom(availability(verdict))
        return catalog_pb2.GetActionResponse(action=message).SerializeToString(deterministic=True)


def availability(verdict: Verdict) -> catalog_pb2.Availability:
    """Returns a verdict as the contract tells it."""
    if verdict.available:
        return catalog_pb2.Availability(state=catalog_pb2.AVAILABILITY_STATE_AVAILABLE)
    told = catalog_pb2.Availability(
        state=catalog_pb2.AVAILABILITY_STATE_UNAVAILABLE, reason=verdict.reason, message=verdict.message
    )
    if verdict.remedy:
        told.remedy.text = verdict.remedy
    return told


def availability_change(group_key: str, verdict: Verdict) -> catalog_pb2.AvailabilityChange:
    """Returns one group's availability as the contract tells it."""
    return catalog_pb2.AvailabilityChange(group_key=group_key, availability=availability(verdict))


def _ordered(modules: Iterable[RegisteredModule]) -> list[RegisteredModule]:
    """Core groups in the order of their registration, then apps by label."""

    def position(module: RegisteredModule) -> tuple[int, str, str]:
        definition = module.definition
        kind = _KIND_ORDER.index(definition.tile_kind)
        if definition.tile_kind != options_pb2.TILE_KIND_APP:
            return (kind, "", "")
        return (kind, definition.label.casefold(), definition.group_key)

    return sorted(modules, key=position)


def _group(module: RegisteredModule) -> catalog_pb2.CatalogGroup:
    definition = module.definition
    actions = _palette(definition.actions)
    ids = [action.id for action in actions]
    is_app = definition.tile_kind == options_pb2.TILE_KIND_APP
    return catalog_pb2.CatalogGroup(
        group_key=definition.group_key,
        label=definition.label,
        description=definition.description,
        icon_token=definition.icon,
        tile_kind=definition.tile_kind,
        default_action_id=definition.default_action,
        allowed_action_ids=sorted(ids) if is_app else ids,
        actions=[_summary(action) for action in actions],
    )


def _palette(actions: Iterable[ActionDefinition]) -> list[ActionDefinition]:
    """The newest version of each action, by label."""
    newest: dict[str, ActionDefinition] = {}
    for action in sorted(actions, key=lambda action: action.version):
        newest[action.id] = action
    return sorted(newest.values(), key=lambda action: (action.label.casefold(), action.id))


def _summary(action: ActionDefinition) -> catalog_pb2.CatalogAction:
    return catalog_pb2.CatalogAction(
        id=action.id,
        version=action.version,
        label=action.label,
        description=action.description,
        effect=action.effect,
        input_field_names=action.input.fields,
        output_field_names=action.output.fields,
        deprecated=action.deprecation is not None,
    )


def _definition(action: ActionDefinition) -> catalog_pb2.ActionDefinition:
    message = catalog_pb2.ActionDefinition(
        summary=_summary(action),
        group_key=action.group_key,
        category=action.category,
        icon_token=action.icon,
        timeout=_duration(action.timeout),
        max_timeout=_duration(action.max_timeout),
        retry=action.retry,
        failures=action.failures,
        permission=action.permission,
        vendor_url=action.vendor_url,
        deprecation=action.deprecation,
        input=_schema(action.input),
        output=_schema(action.output),
        rpc=action.rpc,
    )
    message.ui_schema.update(action.ui_schema)
    for example in action.examples:
        message.examples.add().update(example)
    return message


def _schema(message: MessageContract) -> catalog_pb2.ActionSchema:
    schema = message.schema
    return catalog_pb2.ActionSchema(
        hash=schema.hash, bundled_json=schema.bundled_json, inlined_json=schema.inlined_json
    )


def _duration(seconds: float) -> Duration:
    span = Duration()
    span.FromNanoseconds(round(seconds * 1_000_000_000))
    return span
