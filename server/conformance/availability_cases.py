"""Availability fails closed, and says what to do."""

from collections.abc import Callable

import pytest

from server.conformance.cases import Cases
from server.conformance.judging import FAILED, NONE, check_manners, is_read, told
from server.conformance.scene import Scene
from server.conformance.stage import Stage
from server.conformance.world import World
from server.core.registry import RegisteredModule
from server.gen.patchbay.v1 import catalog_pb2

Arrange = Callable[[Scene], object]


def _switched_off(scene: Scene) -> None:
    scene.connect().disconnect()


def _never_accepted(scene: Scene) -> None:
    scene.connect()
    scene.stage.rows("UPDATE rmm_integrations SET connected_at = NULL WHERE tenant = $1", scene.tenant)


def _raising(scene: Scene) -> None:
    (scene.stage.trouble / scene.tenant).write_text("raise")
    scene.connect()


def _hanging(scene: Scene) -> None:
    (scene.stage.trouble / scene.tenant).write_text("hang")
    scene.connect()


_WAYS: dict[str, tuple[Arrange, str]] = {
    "no-row": (lambda _scene: None, "NOT_CONNECTED"),
    "inactive": (_switched_off, "INTEGRATION_INACTIVE"),
    "never-accepted": (_never_accepted, "NOT_CONNECTED"),
    "resolver-raises": (_raising, "AVAILABILITY_CHECK_FAILED"),
    "resolver-hangs": (_hanging, "AVAILABILITY_CHECK_FAILED"),
}


class AvailabilityCases(Cases):
    """A tenant that cannot use the module is told so, before anything happens."""

    @pytest.mark.usefixtures("tile")
    @pytest.mark.parametrize(("arrange", "reason"), _WAYS.values(), ids=_WAYS)
    def test_availability_fails_closed(
        self, arrange: Arrange, reason: str, stage: Stage, module: RegisteredModule, world: World
    ) -> None:
        """Tile, pickers and every action say the reason and the remedy; the vendor hears nothing, nothing is stored."""
        scene = Scene(stage, module, world)
        arrange(scene)
        before = world.seen()
        tile = _tile(scene)
        assert (tile.state, tile.reason) == (catalog_pb2.AVAILABILITY_STATE_UNAVAILABLE, reason)
        asked = [
            (action, scene.ask(action, "" if is_read(action) else "some key")) for action in module.definition.actions
        ]
        for action, one in asked:
            execution = one.execution()
            check_manners(action, execution)
            assert (execution.state, execution.failure.effect) == (FAILED, NONE), told(execution)
            assert execution.failure.reason == reason, told(execution)
            assert module.definition.label in execution.failure.message, "the message does not name the tool"
        for action in module.definition.actions:
            for field, picker in action.pickers.items():
                assert not picker.action or scene.options(action, field).failure.reason == reason
        assert (world.seen(), scene.stored()) == (before, 0)

    @pytest.mark.usefixtures("tile")
    def test_a_connected_tenant_can_use_it(self, scene: Scene) -> None:
        """The tile of a connected tenant is available."""
        assert _tile(scene).state == catalog_pb2.AVAILABILITY_STATE_AVAILABLE

    @pytest.mark.usefixtures("tile")
    def test_one_resolver_in_trouble_spares_other_tenants(
        self, stage: Stage, module: RegisteredModule, world: World
    ) -> None:
        """While the resolver hangs for one tenant, another one uses the module."""
        troubled, other = Scene(stage, module, world), Scene(stage, module, world)
        _hanging(troubled)
        other.connect()
        action = module.definition.actions[0]
        stuck = troubled.ask(action, "" if is_read(action) else "some key")
        assert _tile(other).state == catalog_pb2.AVAILABILITY_STATE_AVAILABLE
        assert stuck.execution().failure.reason == "AVAILABILITY_CHECK_FAILED"


def _tile(scene: Scene) -> catalog_pb2.Availability:
    request = catalog_pb2.GetCatalogRequest(tenant=scene.tenant)
    answer = scene.stage.caller.call("Catalog/GetCatalog", request, catalog_pb2.GetCatalogResponse)
    (group,) = [one for one in answer.groups if one.group_key == scene.module.definition.group_key]
    assert group.availability.state == catalog_pb2.AVAILABILITY_STATE_AVAILABLE or group.availability.remedy.text
    return group.availability
