"""The NinjaOne tile beside the one that designers know from Nine-Minds/alga-psa (commit 432f5f5): nothing is missing,
nothing has another name or place. The golden file was written by hand from that project's registrations."""

import json
from pathlib import Path
from typing import Any

import pytest

from server.core.availability import Availabilities
from server.core.catalog import Catalog
from server.gen.patchbay.v1 import catalog_pb2
from server.gen.patchbay.v1.options_pb2 import EFFECT_CLASS_READ, TileKind
from server.modules.ninjaone import MODULE
from tests.catalog.support import Integrations, registry_of

pytestmark = pytest.mark.anyio

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "golden" / "ninjaone_tile.json").read_text())
FIELDS = ("input_field_names", "output_field_names")


@pytest.fixture
async def tiles() -> dict[str, catalog_pb2.CatalogGroup]:
    """The tile as a connected and as a disconnected tenant see it."""
    integrations = Integrations()
    integrations.connect("connected", "ninjaone")
    registry = registry_of(MODULE)
    catalog = Catalog(registry, Availabilities(registry, integrations))
    seen = {}
    for tenant in ("connected", "disconnected"):
        (seen[tenant],) = catalog_pb2.GetCatalogResponse.FromString(await catalog.get_catalog(tenant)).groups
    return seen


@pytest.mark.parametrize("tenant", ["connected", "disconnected"])
async def test_the_tile_is_the_known_one(tiles: dict[str, catalog_pb2.CatalogGroup], tenant: str) -> None:
    """Same key, label, icon, kind, default, ids in the same order, labels in the same order, versions, effects."""
    tile = tiles[tenant]
    found = {
        "group_key": tile.group_key,
        "label": tile.label,
        "icon_token": tile.icon_token,
        "tile_kind": TileKind.Name(tile.tile_kind),
        "default_action_id": tile.default_action_id,
        "allowed_action_ids": list(tile.allowed_action_ids),
        "actions": [
            {
                "id": action.id,
                "version": action.version,
                "label": action.label,
                "side_effectful": action.effect != EFFECT_CLASS_READ,
            }
            for action in tile.actions
        ],
    }
    known = {name: value for name, value in GOLDEN.items() if name != "actions"}
    actions = [{name: value for name, value in one.items() if name not in FIELDS} for one in GOLDEN["actions"]]
    assert found == {**known, "actions": actions}


async def test_every_known_field_is_there(tiles: dict[str, catalog_pb2.CatalogGroup]) -> None:
    """Inputs and outputs keep their names; ours have more."""
    for known, action in zip(GOLDEN["actions"], tiles["connected"].actions, strict=True):
        for name in FIELDS:
            assert set(known[name]) <= set(getattr(action, name)), action.id


async def test_only_the_connected_tenant_can_use_it(tiles: dict[str, catalog_pb2.CatalogGroup]) -> None:
    """The tile stays in the palette of the other one, with the reason."""
    available, not_connected = (tiles[tenant].availability for tenant in ("connected", "disconnected"))
    assert available.state == catalog_pb2.AVAILABILITY_STATE_AVAILABLE
    assert not_connected.state != catalog_pb2.AVAILABILITY_STATE_AVAILABLE
    assert (available.reason, not_connected.reason) == ("", "NOT_CONNECTED")
    assert not_connected.message == "NinjaOne is not connected for this tenant."
