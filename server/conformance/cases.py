"""What all cases share: the module's parts as parameters, and a stage, a vendor and scenes as fixtures."""

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import pytest

from server.composition import Register
from server.conformance import times
from server.conformance.bench import Bench, LocalBench
from server.conformance.judging import is_keyless, is_read
from server.conformance.scene import Scene, Trace
from server.conformance.stage import Stage
from server.conformance.world import World
from server.contract.definitions import MessageContract, ModuleDefinition
from server.core.registry import RegisteredAction, RegisteredModule, Registry

Traces = Callable[[RegisteredAction], Trace]

_STAGES = pytest.StashKey[dict[Register, Stage]]()


class Cases:
    """A part of the suite.

    Attributes:
        bench: The module and its vendor.
        golden: The file with the module's catalog as it was reviewed; written when `PATCHBAY_GOLDEN=write` is in the
            environment.
    """

    bench: ClassVar[Bench | LocalBench]
    golden: ClassVar[Path]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Makes a case for each action, picker or message that a test asks for."""
        bench: Bench | LocalBench = metafunc.cls.bench
        for name, values in _parameters(bench).items():
            if name in metafunc.fixturenames:
                metafunc.parametrize(name, list(values.values()), ids=list(values))

    @classmethod
    def actions(cls) -> list[RegisteredAction]:
        """The module's actions with their handlers."""
        return _actions(cls.bench)

    @classmethod
    def open_scene(cls, stage: Stage, module: RegisteredModule, world: World) -> Scene:
        """Returns the scene of another tenant, who can use the module."""
        return Scene(stage, module, world).connect()

    @pytest.fixture(scope="class")
    @classmethod
    def module(cls) -> RegisteredModule:
        """The module."""
        return cls.bench.module

    @pytest.fixture(scope="class")
    @classmethod
    def stage(cls, request: pytest.FixtureRequest) -> Stage:
        """The server; benches that register the same share it until the end of the run."""
        stages = request.config.stash.setdefault(_STAGES, {})
        if cls.bench.register not in stages:
            stages[cls.bench.register] = made = Stage(cls.bench.register)
            request.config.add_cleanup(made.close)
        return stages[cls.bench.register]

    @pytest.fixture
    def tile(self, module: RegisteredModule) -> None:
        """Leaves out modules that only consume events: the catalog does not show them."""
        if not module.definition.actions:
            pytest.skip("the module has no actions, so the catalog does not show it")

    @pytest.fixture(scope="class")
    @classmethod
    def world(cls, module: RegisteredModule) -> Iterator[World]:
        """The vendor."""
        assert isinstance(cls.bench, Bench), "a module without a vendor is for LocalConformance"
        with closing(World(cls.bench, module)) as made:
            yield made

    @pytest.fixture
    def other_world(self, module: RegisteredModule) -> Iterator[World]:
        """Another vendor, with credentials of its own."""
        assert isinstance(self.bench, Bench)
        with closing(World(self.bench, module)) as made:
            yield made

    @pytest.fixture(scope="class")
    @classmethod
    def traces(cls, stage: Stage, module: RegisteredModule, world: World) -> Traces:
        """Traces each action once."""

        @cache
        def traced(action: RegisteredAction) -> Trace:
            return cls.open_scene(stage, module, world).trace(action)

        return traced

    @pytest.fixture
    def undisturbed(self, request: pytest.FixtureRequest, traces: Traces) -> Trace:
        """What an undisturbed execution of the case's action looks like."""
        params: dict[str, Any] = request.node.callspec.params
        return traces(next(value for value in params.values() if isinstance(value, RegisteredAction)))

    @pytest.fixture
    def scene(
        self, request: pytest.FixtureRequest, stage: Stage, module: RegisteredModule, world: World
    ) -> Iterator[Scene]:
        """A connected tenant of this case alone, and the vendor as new."""
        if "undisturbed" in request.fixturenames:
            request.getfixturevalue("undisturbed")  # it uses the vendor, so it comes first
        made = self.open_scene(stage, module, world)
        yield made
        made.disconnect()  # else its unknown outcomes are probed while the next case counts requests

    @pytest.fixture(autouse=True)
    def timed(self, request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> None:
        """Has the time of the case counted for its module."""
        record_property(times.PROPERTY, self.bench.provider)
        plugins = request.config.pluginmanager
        if not plugins.has_plugin(times.__name__):
            plugins.register(times, times.__name__)


def _parameters(bench: Bench | LocalBench) -> dict[str, dict[str, Any]]:
    actions = {one.definition.id: one for one in _actions(bench)}
    writes = {name: one for name, one in actions.items() if not is_read(one.definition)}
    pickers = {f"{name}-{path}": (one, path) for name, one in actions.items() for path in one.definition.pickers}
    return {
        "action": actions,
        "write": writes,
        "read": {name: one for name, one in actions.items() if name not in writes},
        "repeatable": {name: one for name, one in actions.items() if not is_keyless(one.definition)},
        "picker": pickers,
        "message": _messages(bench.module.definition),
    }


@cache
def _actions(bench: Bench | LocalBench) -> list[RegisteredAction]:
    registry = Registry()
    bench.register(registry)
    return [one for one in registry.actions if one.module.definition.provider == bench.provider]


def _messages(module: ModuleDefinition) -> dict[str, MessageContract]:
    found = [contract for action in module.actions for contract in (action.input, action.output)]
    if module.connection is not None:
        found.append(module.connection)
    return {contract.descriptor.name: contract for contract in found}
