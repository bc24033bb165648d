"""The suite as one class to be subclassed."""

import pytest

_CASES = ("contract", "availability", "key", "flight", "fault", "secret", "tenant", "death", "local")
pytest.register_assert_rewrite(
    *(f"server.conformance.{name}_cases" for name in _CASES), "server.conformance.judging", "server.conformance.scene"
)

from server.conformance.availability_cases import AvailabilityCases  # noqa: E402 - pytest is to explain its assertions
from server.conformance.contract_cases import ContractCases  # noqa: E402
from server.conformance.death_cases import DeathCases  # noqa: E402
from server.conformance.fault_cases import FaultCases  # noqa: E402
from server.conformance.flight_cases import FlightCases  # noqa: E402
from server.conformance.key_cases import KeyCases  # noqa: E402
from server.conformance.local_cases import LocalCases  # noqa: E402
from server.conformance.secret_cases import SecretCases  # noqa: E402
from server.conformance.tenant_cases import TenantCases  # noqa: E402


class Conformance(
    # pytest begins with the last.
    DeathCases,
    TenantCases,
    SecretCases,
    FaultCases,
    FlightCases,
    KeyCases,
    AvailabilityCases,
    ContractCases,
):
    """Everything that a module must prove; a subclass names the bench and the golden catalog."""


class LocalConformance(LocalCases, KeyCases, ContractCases):
    """The same for a module whose whole effect is in our database; its bench is a LocalBench."""
