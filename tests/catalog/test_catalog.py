"""The catalog's order, content, etag and cost."""

import json
import os
from hashlib import sha256
from pathlib import Path

import pytest
from google.protobuf.json_format import MessageToDict

from server.core.availability import Availabilities
from server.core.catalog import Catalog
from server.core.refusals import Refusal
from server.gen.patchbay.v1 import catalog_pb2, options_pb2
from server.sdk.availability import Verdict
from tests.catalog.support import TACTICAL, ZETA, Integrations, fixture_module, registry_of

pytestmark = pytest.mark.anyio

GOLDEN = Path(__file__).parent / "golden" / "palette.json"


async def palette(catalog: Catalog, tenant: str) -> catalog_pb2.GetCatalogResponse:
    """The tenant's catalog, parsed."""
    return catalog_pb2.GetCatalogResponse.FromString(await catalog.get_catalog(tenant))


async def test_the_palette_is_the_golden_one(catalog):
    """Everything a designer sees of the fixture's groups and Tactical RMM equals the golden file.

    After a wanted change run the test with PATCHBAY_WRITE_GOLDEN=1 and look at the difference in review.
    """
    told = await palette(catalog, "a")
    found = [MessageToDict(group, preserving_proto_field_name=True) for group in told.groups]
    if os.environ.get("PATCHBAY_WRITE_GOLDEN"):
        GOLDEN.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    assert found == json.loads(GOLDEN.read_text())


async def test_order_of_groups(catalog):
    """Core objects come first, then transformations, then apps by label in any case."""
    told = await palette(catalog, "a")
    assert [group.group_key for group in told.groups] == ["ticket", "transform", TACTICAL, ZETA]


async def test_only_the_newest_version_of_an_action_is_listed(catalog):
    """An action with two versions is listed once, as its newest."""
    ticket = (await palette(catalog, "a")).groups[0]
    assert [(action.id, action.version) for action in ticket.actions] == [
        ("tickets.add_note", 1),
        ("tickets.create", 2),
    ]
    assert [action.deprecated for action in ticket.actions] == [True, False]


async def test_order_of_allowed_actions(catalog):
    """Allowed ids follow the actions in core groups and are sorted by id in apps; actions are by label."""
    told = await palette(catalog, "a")
    ticket, tactical = told.groups[0], told.groups[2]
    assert list(ticket.allowed_action_ids) == [action.id for action in ticket.actions]
    assert list(tactical.allowed_action_ids) == sorted(action.id for action in tactical.actions)
    for group in told.groups:
        labels = [action.label.casefold() for action in group.actions]
        assert labels == sorted(labels)


async def test_the_default_action_is_one_of_the_groups(catalog):
    """Every group's default action is one that it allows."""
    for group in (await palette(catalog, "a")).groups:
        assert group.default_action_id in group.allowed_action_ids


async def test_unavailable_groups_stay(catalog):
    """A group that is not available keeps its actions and tells reason, message and remedy."""
    zeta = (await palette(catalog, "a")).groups[3]
    assert zeta.availability.state == catalog_pb2.AVAILABILITY_STATE_UNAVAILABLE
    assert zeta.availability.reason == "NOT_CONNECTED"
    assert zeta.availability.message == "zeta desk is not connected for this tenant."
    assert zeta.availability.remedy.text
    assert len(zeta.actions) == 3


async def test_an_available_group_says_nothing_else(catalog):
    """Availability of a usable group has no reason, message or remedy."""
    tactical = (await palette(catalog, "a")).groups[2]
    assert tactical.availability == catalog_pb2.Availability(state=catalog_pb2.AVAILABILITY_STATE_AVAILABLE)


async def test_the_current_etag_is_not_modified(catalog):
    """The current etag gets a short answer without groups; another one the whole catalog."""
    whole = await palette(catalog, "a")
    short = catalog_pb2.GetCatalogResponse.FromString(await catalog.get_catalog("a", whole.etag))
    assert (short.etag, short.not_modified, len(short.groups)) == (whole.etag, True, 0)
    assert await catalog.get_catalog("a", "old") == whole.SerializeToString(deterministic=True)


async def test_the_etag_is_the_hash_of_the_groups(catalog):
    """The etag is the SHA-256 of the serialized groups."""
    whole = await palette(catalog, "a")
    groups = catalog_pb2.GetCatalogResponse(groups=whole.groups).SerializeToString(deterministic=True)
    assert whole.etag == sha256(groups).hexdigest()


async def test_the_etag_follows_availability(catalog, availabilities, integrations):
    """Connecting an app changes the etag; disconnecting it brings the old one back."""
    before = (await palette(catalog, "a")).etag
    integrations.connect("a", "tacticalrmm", "zeta")
    availabilities.forget("a")
    connected = (await palette(catalog, "a")).etag
    integrations.connect("a", "tacticalrmm")
    availabilities.forget("a")
    assert before == (await palette(catalog, "a")).etag != connected


async def test_the_etag_is_the_same_on_every_replica(registry, catalog):
    """Two catalogs built from the same modules tell one etag for equal availability."""
    integrations = Integrations()
    integrations.connect("other", "tacticalrmm")
    replica = Catalog(registry, Availabilities(registry, integrations))
    assert (await palette(catalog, "a")).etag == (await palette(replica, "other")).etag


async def test_tenants_of_equal_availability_share_the_answer(catalog):
    """A thousand tenants that have connected nothing get the very same bytes object."""
    first = await catalog.get_catalog("tenant 0")
    assert all([await catalog.get_catalog(f"tenant {number}") is first for number in range(1, 1_000)])


async def test_tenant_specific_messages_stay_right(vendor, image):
    """More messages than are kept as answers: each tenant still gets its own."""

    async def names_the_tenant(context):
        return Verdict.unavailable("NOT_CONNECTED", f"Nothing for {context.tenant}.")

    registry = registry_of(fixture_module("Zeta", image, vendor, names_the_tenant))
    catalog = Catalog(registry, Availabilities(registry, Integrations()))
    for tenant in [f"tenant {number}" for number in range(300)] * 2:
        told = await palette(catalog, tenant)
        assert told.groups[0].availability.message == f"Nothing for {tenant}."


async def definition(
    catalog: Catalog, action: str, version: int = 0, tenant: str = "a"
) -> catalog_pb2.ActionDefinition:
    """One action, parsed."""
    answer = await catalog.get_action(tenant, action, version)
    return catalog_pb2.GetActionResponse.FromString(answer).action


async def test_an_action_is_told_whole(catalog, registry):
    """GetAction tells what the contract declares, with both schemas and the availability of the module."""
    told = await definition(catalog, "tacticalrmm.agents.run_script")
    known = registry.action("tacticalrmm.agents.run_script").definition
    assert (told.summary.id, told.summary.version) == known.key
    assert told.summary.effect == options_pb2.EFFECT_CLASS_NON_IDEMPOTENT
    assert told.group_key == TACTICAL
    assert told.availability.state == catalog_pb2.AVAILABILITY_STATE_AVAILABLE
    assert told.timeout.ToSeconds() == 3720
    assert "AGENT_OFFLINE" in [failure.reason for failure in told.failures]
    assert told.rpc == "/patchbay.modules.tacticalrmm.v1.TacticalRmm/RunScript"
    assert told.permission == "tacticalrmm.agents.run_script"
    assert json.loads(told.input.inlined_json)["properties"].keys() == set(known.input.fields)
    assert told.input.hash == sha256(told.input.bundled_json.encode()).hexdigest()
    assert json.loads(told.output.bundled_json)
    assert "script_id" in told.ui_schema


async def test_versions_of_an_action(catalog):
    """Version 0 is the newest; an older one is still told, with its deprecation."""
    assert (await definition(catalog, "tickets.create")).summary.version == 2
    old = await definition(catalog, "tickets.create", 1)
    assert (old.summary.version, old.deprecation.use_instead) == (1, "Version 2.")


async def test_details_of_an_action(catalog):
    """Fractions of seconds, examples and the default retry hint reach the answer."""
    told = await definition(catalog, "tickets.create", 2)
    assert told.max_timeout.ToMilliseconds() == 7_500
    assert [MessageToDict(example) for example in told.examples] == [{"title": "Printer"}]
    assert told.retry.max_attempts == 3
    assert not told.HasField("deprecation")


async def test_an_action_of_an_unavailable_module_is_told(catalog):
    """Viewing is never gated: the action is told with the reason why it cannot be added now."""
    told = await definition(catalog, "zeta.cards.create")
    assert told.availability.reason == "NOT_CONNECTED"
    assert told.input.bundled_json


async def test_a_second_telling_is_the_same_object(catalog):
    """Serialized definitions are kept, so that telling one again costs a look-up."""
    assert await catalog.get_action("a", "tickets.create") is await catalog.get_action("b", "tickets.create", 2)


@pytest.mark.parametrize(
    ("action", "version", "said"),
    [
        ("tacticalrmm.agents.run_scirpt", 0, "Did you mean `tacticalrmm.agents.run_script`?"),
        ("tickets.create", 3, "it has 1, 2"),
    ],
)
async def test_an_unknown_action_is_refused(catalog, action, version, said):
    """An unknown id gets a suggestion, an unknown version the known ones."""
    with pytest.raises(Refusal) as refused:
        await catalog.get_action("a", action, version)
    assert refused.value.reason == "ACTION_UNKNOWN"
    assert said in refused.value.message


async def test_core_groups_keep_their_place(vendor, image, integrations):
    """The order of groups does not depend on the order in which the modules registered."""
    names = ["Transform", "Tickets", "Zeta"]
    orders = []
    for registered in (names, names[::-1]):
        registry = registry_of(*[fixture_module(name, image, vendor) for name in registered])
        told = await palette(Catalog(registry, Availabilities(registry, integrations)), "a")
        orders.append([group.group_key for group in told.groups])
    assert orders[0] == orders[1] == ["ticket", "transform", ZETA]
