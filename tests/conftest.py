"""Fixtures that every test may use."""

import pytest

pytest_plugins = ["tests.support.postgres", "tests.support.served"]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio, as the server does."""
    return "asyncio"
