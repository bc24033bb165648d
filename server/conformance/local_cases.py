"""Modules whose whole effect is in our database: what replaces the cases that need a vendor."""

import random
import time
from contextlib import suppress
from functools import partial

import grpc
import pytest

from server.conformance.bench import Json, LocalBench
from server.conformance.cases import Cases
from server.conformance.judging import FAILED, SUCCEEDED, check_manners, check_success, is_read, told
from server.conformance.key_cases import KEY
from server.conformance.scene import Scene, Trace, until
from server.conformance.stage import Stage
from server.conformance.world import World
from server.core.registry import RegisteredAction, RegisteredModule
from server.gen.patchbay.v1 import catalog_pb2

_AT_ONCE = 16
_KILLS = 2
_SOON = 0.05


class LocalWorld(World):
    """Our database in a vendor's place: nobody is asked, and effects are rows of ours."""

    def __init__(self, bench: LocalBench, stage: Stage) -> None:
        self._local, self._stage, self._before = bench, stage, 0
        self.control = self  # type: ignore[assignment] # of a vendor's control plane only `reset` is used

    def reset(self) -> None:
        """Counts from here."""
        self._before = self._local.effects(self._stage.rows)

    def requests(self, after: int = 0) -> list[Json]:  # noqa: ARG002 - there are none
        """Nobody is asked."""
        return []

    def seen(self) -> int:
        """Nobody is asked."""
        return 0

    def effects(self) -> int:
        """How many effects there were since the last reset."""
        return self._local.effects(self._stage.rows) - self._before

    def close(self) -> None:
        """Nothing runs."""


class LocalScene(Scene):
    """A tenant of its own that has what the examples need."""

    def prepare(self, bench: LocalBench) -> "LocalScene":
        """Gives the tenant what the examples need."""
        bench.prepare(self.tenant, self.stage.rows)
        return self

    def disconnect(self) -> None:
        """There is no connection."""


class LocalCases(Cases):
    """A module without a vendor is always there, and what it does happens once or not at all."""

    @classmethod
    def open_scene(cls, stage: Stage, module: RegisteredModule, world: World) -> Scene:
        """Returns the scene of another tenant, prepared."""
        assert isinstance(cls.bench, LocalBench)
        return LocalScene(stage, module, world).prepare(cls.bench)

    @pytest.fixture(scope="class")
    @classmethod
    def world(cls, stage: Stage) -> World:
        """Our database."""
        assert isinstance(cls.bench, LocalBench), "a module with a vendor is for Conformance"
        assert stage.caller  # the server has made the database
        return LocalWorld(cls.bench, stage)

    def test_the_first_example_works(self, action: RegisteredAction, undisturbed: Trace) -> None:
        """An example succeeds with an output that its schema accepts; a write has its effect, a read none."""
        definition = action.definition
        check_success(definition, undisturbed.execution)
        assert bool(undisturbed.effects) != is_read(definition)

    def test_writes_share_a_transaction_with_their_record(self, write: RegisteredAction) -> None:
        """Every handler that changes something is marked `transactional`."""
        assert write.transactional

    def test_it_is_always_available(self, stage: Stage, module: RegisteredModule, world: World) -> None:
        """The tile of a tenant that has just been created is available."""
        scene = Scene(stage, module, world)
        request = catalog_pb2.GetCatalogRequest(tenant=scene.tenant)
        answer = stage.caller.call("Catalog/GetCatalog", request, catalog_pb2.GetCatalogResponse)
        (group,) = [one for one in answer.groups if one.group_key == module.definition.group_key]
        assert group.availability.state == catalog_pb2.AVAILABILITY_STATE_AVAILABLE

    def test_one_key_at_once(self, write: RegisteredAction, undisturbed: Trace, scene: Scene) -> None:
        """Calls at once with one key have one effect and one answer."""
        asked = [scene.ask(write.definition, KEY) for _ in range(_AT_ONCE)]
        ended = [one.execution() for one in asked]
        assert {one.state for one in ended} == {SUCCEEDED}, [told(one) for one in ended]
        assert len({one.id for one in ended}) == 1
        assert scene.world.effects() == undisturbed.effects

    def test_tenants_do_not_meet(
        self, write: RegisteredAction, stage: Stage, module: RegisteredModule, world: World
    ) -> None:
        """What one tenant has is not there for another one that names it: its write fails and changes nothing."""
        self.open_scene(stage, module, world)
        stranger = Scene(stage, module, world)
        execution = stranger.execute(write.definition, KEY)
        check_manners(write.definition, execution)
        assert (execution.state, world.effects()) == (FAILED, 0), told(execution)

    def test_kill_9_at_any_time(self, write: RegisteredAction, undisturbed: Trace, scene: Scene) -> None:
        """The effect is there whole or not at all; the same call again then has it, once."""
        for _ in range(_KILLS):
            scene = self.open_scene(scene.stage, scene.module, scene.world)
            doomed = scene.stage.another()
            asked = scene.ask(write.definition, KEY, caller=doomed.caller)
            time.sleep(random.uniform(0, _SOON))  # noqa: S311 - any moment will do
            doomed.kill()
            with suppress(grpc.RpcError):
                asked.execution()
            until(partial(_succeeds, scene, write))
            assert scene.world.effects() == undisturbed.effects


def _succeeds(scene: Scene, write: RegisteredAction) -> bool:
    return scene.execute(write.definition, KEY).state == SUCCEEDED
