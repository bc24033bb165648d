"""The suite as one class to be subclassed."""

import pytest

_PARTS = ("contract_cases", "availability_cases", "judging", "scene")
pytest.register_assert_rewrite(*(f"server.conformance.{part}" for part in _PARTS))

from server.conformance.availability_cases import AvailabilityCases  # noqa: E402 - pytest is to explain its assertions
from server.conformance.contract_cases import ContractCases  # noqa: E402


class Conformance(ContractCases, AvailabilityCases):
    """Everything that a module must prove; a subclass names the bench and the golden catalog."""
