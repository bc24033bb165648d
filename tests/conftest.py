"""Fixtures that every test may use."""

import os

import pytest

pytest_plugins = ["server.conformance.times", "tests.support.postgres", "tests.support.served"]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """How many processes `-n auto` means: as there are cores, but two on one core, since tests mostly wait."""
    return max(2, os.cpu_count() or 1)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio, as the server does."""
    return "asyncio"
