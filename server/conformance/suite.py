"""The suite as one class to be subclassed."""

import pytest

_PARTS = ("contract_cases", "availability_cases", "key_cases", "fault_cases", "judging", "scene")
pytest.register_assert_rewrite(*(f"server.conformance.{part}" for part in _PARTS))

from server.conformance.availability_cases import AvailabilityCases  # noqa: E402 - pytest is to explain its assertions
from server.conformance.contract_cases import ContractCases  # noqa: E402
from server.conformance.fault_cases import FaultCases  # noqa: E402
from server.conformance.key_cases import KeyCases  # noqa: E402


class Conformance(FaultCases, KeyCases, AvailabilityCases, ContractCases):  # pytest begins with the last
    """Everything that a module must prove; a subclass names the bench and the golden catalog."""
