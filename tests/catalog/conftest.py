"""A registry with two core groups and two apps."""

from typing import Any

import pytest

from server.core.availability import Availabilities
from server.core.catalog import Catalog
from server.core.execution import Executor
from server.core.handling import Handling
from server.core.pickers import Pickers
from server.core.ports import Stores
from server.core.preparation import Preparation
from server.core.records import ReadRecord
from server.core.registry import Registry
from server.core.running import Runner
from server.sdk.availability import rmm_connection
from tests.catalog.support import Integrations, Vendor, compiled, fixture_module, registry_of, tactical


@pytest.fixture(scope="session")
def image(tmp_path_factory) -> bytes:
    """Descriptors of the fixture's modules."""
    return compiled(tmp_path_factory.mktemp("catalog"))


@pytest.fixture
def vendor() -> Vendor:
    """What the handlers answer with."""
    return Vendor()


@pytest.fixture
def registry(vendor, image) -> Registry:
    """Apps are registered before core groups, to prove that the order is the catalog's own."""
    return registry_of(
        fixture_module("Zeta", image, vendor, rmm_connection("zeta", "zeta desk")),
        tactical(vendor),
        fixture_module("Transform", image, vendor),
        fixture_module("Tickets", image, vendor),
    )


@pytest.fixture
def integrations() -> Integrations:
    """Tenant `a` has connected Tactical RMM."""
    found = Integrations()
    found.connect("a", "tacticalrmm")
    return found


@pytest.fixture
def availabilities(registry, integrations) -> Availabilities:
    """Availability of the registry's modules."""
    return Availabilities(registry, integrations)


@pytest.fixture
def catalog(registry, availabilities) -> Catalog:
    """The catalog of the registry."""
    return Catalog(registry, availabilities)


class Reads(list[ReadRecord]):
    """Where the executor records what was read."""

    async def add(self, item: ReadRecord) -> None:
        """Keeps one."""
        self.append(item)


class NoStore:
    """What listing actions must not touch: any use fails the test."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"a listing action used the store's {name}")


@pytest.fixture
def reads() -> Reads:
    """What the executor recorded."""
    return Reads()


@pytest.fixture
def pickers(registry, availabilities, reads) -> Pickers:
    """Pickers over the real executor; the fixture's app needs no connection, so there is nothing to store."""
    nothing: Any = NoStore()
    stores = Stores(
        invocations=nothing,
        upkeep=nothing,
        budgets=nothing,
        locks=nothing,
        reads=reads,
        inventory=lambda _tenant, _provider: nothing,
        alerts=lambda _tenant, _provider, _connection: nothing,
        accounts=lambda _tenant: nothing,
        conversations=lambda _tenant: nothing,
        schedule=lambda _tenant, **_more: nothing,
    )
    handling = Handling(stores, max_output_bytes=1_000_000)
    executor = Executor(
        Preparation(registry, availabilities, nothing, max_input_bytes=100_000),
        handling,
        Runner(nothing, handling),
        stores,
        owner="test",
        keyed_hash=lambda data: data,
        max_running=10,
    )
    return Pickers(registry, executor)
