"""Fixtures: an office on a running server."""

from collections.abc import AsyncIterator

import pytest

from tests.scheduling.office import Office, opened
from tests.support.served import Served


@pytest.fixture
async def office(served: Served) -> AsyncIterator[Office]:
    """A tenant with a ticket and a project task, on a server in this process."""
    async with opened(served.caller, served.fresh.dsn) as made:
        yield made
