"""Fixtures: an office on a running server."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.scheduling.office import Office
from tests.support.served import TENANT, Served


@pytest.fixture
async def office(served: Served) -> AsyncIterator[Office]:
    """A tenant with a ticket and a project task, on a server in this process."""
    owner = await asyncpg.connect(served.fresh.dsn)
    tenant = str(await owner.fetchval("SELECT tenant FROM tenants WHERE slug = $1", TENANT))
    await owner.execute("SELECT set_config('patchbay.tenant', '*', false)")
    made = Office(served.caller, owner, tenant)
    await made.open_work()
    yield made
    await owner.close()
