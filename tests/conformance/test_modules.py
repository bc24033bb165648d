"""The suite for every registered module, with the bench that its tests have."""

import importlib
from importlib.util import find_spec

import pytest

from scripts.documents import GOLDEN
from server.composition import all_modules
from server.conformance.bench import Bench
from server.conformance.suite import Conformance
from server.core.registry import Registry
from tests.support.paths import ROOT


def _providers() -> list[str]:
    registry = Registry()
    all_modules(registry)
    return sorted(module.definition.provider for module in registry.modules.values())


def _bench(provider: str) -> Bench | None:
    name = f"tests.modules.{provider}.bench"
    if find_spec(f"tests.modules.{provider}") is None or find_spec(name) is None:
        return None
    found: Bench = importlib.import_module(name).BENCH
    return found


BENCHES = {provider: _bench(provider) for provider in _providers()}


@pytest.mark.parametrize("provider", BENCHES)
def test_a_registered_module_has_a_bench(provider: str) -> None:
    """Every registered module brings `tests/modules/<provider>/bench.py` with the bench of that provider."""
    bench = BENCHES[provider]
    assert bench is not None, f"tests/modules/{provider}/bench.py is missing: see docs/adding-a-module.md"
    assert bench.provider == provider


for _provider, _found in BENCHES.items():
    if _found is not None:
        _facts = {"bench": _found, "golden": ROOT / GOLDEN / f"{_provider}.json"}
        globals()[f"Test_{_provider}"] = type(f"Test_{_provider}", (Conformance,), _facts)
