"""Fixtures: a receiver of webhooks, and a desk on a running server."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.outbox.desk import Desk
from tests.outbox.receiver import receiver_url
from tests.support.postgres import Fresh
from tests.support.served import Lab, Served, serving, settings_for

__all__ = ["receiver_url"]


@pytest.fixture
async def house(lab: Lab, fresh: Fresh, tmp_path: Path) -> AsyncIterator[Served]:
    """A server in this process that gives up after 4 tries of 2 s."""
    settings = settings_for(fresh, tmp_path, delivery_seconds=2.0, delivery_tries=4)
    async with serving(settings, lab, fresh) as running:
        yield running


@pytest.fixture
async def desk(house: Served, receiver_url: str) -> AsyncIterator[Desk]:
    """A tenant on that server whose events go to the hook `demo`."""
    made = await Desk.open(house.caller, house.fresh, receiver_url)
    yield made
    await made.owner.close()
