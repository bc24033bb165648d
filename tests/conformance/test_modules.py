"""The suite for every registered module, before its simulator."""

import importlib
from importlib.util import find_spec

import pytest

from scripts.documents import GOLDEN
from server.composition import all_modules
from server.conformance.bench import Bench, LocalBench
from server.conformance.suite import Conformance, LocalConformance
from server.core.registry import Registry
from tests.support.paths import ROOT


def _providers() -> list[str]:
    registry = Registry()
    all_modules(registry)
    return sorted(module.definition.provider for module in registry.modules.values())


def _bench(provider: str) -> Bench | LocalBench | None:
    """Returns the module's own bench, else the simulator's demo world; None without either."""
    own, simulator = f"tests.modules.{provider}.bench", f"sandbox.{provider}"
    if find_spec(own.rpartition(".")[0]) is not None and find_spec(own) is not None:
        found: Bench | LocalBench = importlib.import_module(own).BENCH
        return found
    vendor = importlib.import_module(simulator) if find_spec(simulator) else None
    if vendor is None or not hasattr(vendor, "demo_connection"):
        return None
    return Bench(provider=provider, vendor=vendor.create_app, settings=vendor.demo_connection)


BENCHES = {provider: _bench(provider) for provider in _providers()}


@pytest.mark.parametrize("provider", BENCHES)
def test_a_registered_module_has_a_bench(provider: str) -> None:
    """Every registered module has a simulator that the suite can use, or a bench beside its tests."""
    bench = BENCHES[provider]
    assert bench is not None, f"sandbox/{provider}/ has no `demo_connection`, tests/modules/{provider}/ no bench.py"
    assert bench.provider == provider


for _provider, _found in BENCHES.items():
    if _found is not None:
        _facts = {"bench": _found, "golden": ROOT / GOLDEN / f"{_provider}.json"}
        _suite = Conformance if isinstance(_found, Bench) else LocalConformance
        globals()[f"Test_{_provider}"] = type(f"Test_{_provider}", (_suite,), _facts)
