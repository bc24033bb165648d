"""A registry with two core groups and two apps."""

import pytest

from server.core.availability import Availabilities
from server.core.catalog import Catalog
from server.core.registry import Registry
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
