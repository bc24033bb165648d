"""Vendor clients in memory: made once, dropped in time, closed when nobody uses them."""

import asyncio
import gc

import pytest

from server.core.connection_records import NOTIFY_CHANNEL, StoredConnection
from server.core.connections import Connections
from server.core.registry import RegisteredModule
from server.core.vault import Sealed
from server.core.vendor_clients import VendorClients
from server.sdk.availability import AvailabilityContext, Integration
from server.sdk.failures import ActionFailure
from server.store.database import Database
from server.store.integrations import IntegrationRows
from server.store.listen import Listener
from server.store.tenants import Tenants
from tests.connections.conftest import House
from tests.connections.vendor import KEY, PROVIDER, Vendor, module
from tests.support.postgres import Fresh

pytestmark = pytest.mark.anyio


class CountingRows(IntegrationRows):
    """The store, counting its look-ups; `gate` holds them back after they have read."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.loads = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.reading = asyncio.Event()

    async def load(self, tenant: str, provider: str) -> tuple[StoredConnection, Sealed | None] | None:
        """Counts, reads, waits."""
        self.loads += 1
        found = await super().load(tenant, provider)
        self.reading.set()
        await self.gate.wait()
        return found


class Clock:
    """Seconds that tests move."""

    now = 100.0

    def __call__(self) -> float:
        """Returns the time."""
        return self.now


@pytest.fixture
def rows(database: Database) -> CountingRows:
    """The store."""
    return CountingRows(database)


@pytest.fixture
def clock() -> Clock:
    """The cache's clock."""
    return Clock()


@pytest.fixture
def clients(house: House, rows: CountingRows, clock: Clock) -> VendorClients:
    """A replica's clients."""
    return VendorClients(rows, house.vault, house.http, house.tokens, capacity=3, clock=clock)


async def test_a_client_is_made_once_and_asked_for_without_the_database(
    house: House, vendor: Vendor, clients: VendorClients, rows: CountingRows
) -> None:
    """Fifty at once and fifty afterwards: one look-up, one client."""
    await house.connect(vendor)
    made = house.clients.made
    first = await asyncio.gather(*(clients.get(house.tenant, house.module) for _ in range(50)))
    later = [await clients.get(house.tenant, house.module) for _ in range(50)]
    assert len(set(map(id, (*first, *later)))) == 1
    assert (rows.loads, house.clients.made - made) == (1, 1)


async def test_after_five_seconds_the_revision_is_compared(
    house: House, vendor: Vendor, clients: VendorClients, rows: CountingRows, clock: Clock
) -> None:
    """An unchanged connection keeps its client; a changed one gets a new one without any notification."""
    await house.connect(vendor)
    before = await clients.get(house.tenant, house.module)
    clock.now += 5
    assert await clients.get(house.tenant, house.module) is before
    assert rows.loads == 2
    await house.connect(vendor)
    clock.now += 5
    after = await clients.get(house.tenant, house.module)
    assert after is not before
    assert after.revision == before.revision + 1


async def test_a_test_of_the_connection_keeps_the_client(house: House, vendor: Vendor, clients: VendorClients) -> None:
    """Its outcome changes the row but not the revision."""
    await house.connect(vendor)
    before = await clients.get(house.tenant, house.module)
    await house.connections.test(house.tenant, PROVIDER)
    clients.forget(house.tenant)
    assert await clients.get(house.tenant, house.module) is before


async def test_another_replica_learns_of_a_disconnect_by_notification(
    fresh: Fresh, house: House, vendor: Vendor, clients: VendorClients
) -> None:
    """Its next call is refused although its memory was fresh."""
    told = asyncio.Event()

    def news(tenant: str) -> None:
        clients.forget(tenant)
        if tenant == house.tenant and listening:
            told.set()

    listening = False
    await house.connect(vendor)
    listener = Listener(fresh.app_dsn)
    listener.on(NOTIFY_CHANNEL, news, clients.forget_all)
    async with listener:
        assert await clients.get(house.tenant, house.module)
        listening = True
        await house.connections.disconnect(house.tenant, PROVIDER)
        await asyncio.wait_for(told.wait(), 20)
        with pytest.raises(ActionFailure) as caught:
            await clients.get(house.tenant, house.module)
    assert caught.value.failure.reason == "INTEGRATION_INACTIVE"


async def test_a_look_up_that_began_before_a_change_is_not_kept(
    house: House, vendor: Vendor, clients: VendorClients, rows: CountingRows
) -> None:
    """It serves who waited for it; who asks after the notification gets the new connection."""
    await house.connect(vendor)
    rows.gate.clear()
    early = asyncio.create_task(clients.get(house.tenant, house.module))
    await rows.reading.wait()
    changed = await house.connect(vendor)
    clients.forget(house.tenant)
    held, rows.gate = rows.gate, asyncio.Event()
    rows.gate.set()
    late = await clients.get(house.tenant, house.module)
    held.set()
    assert (await early).revision == changed.revision - 1
    assert late.revision == changed.revision
    assert await clients.get(house.tenant, house.module) is late


async def test_a_caller_that_leaves_does_not_spoil_the_look_up_of_others(
    house: House, vendor: Vendor, clients: VendorClients, rows: CountingRows
) -> None:
    """Cancelling the first of two callers leaves the second with its answer."""
    await house.connect(vendor)
    rows.gate.clear()
    one = asyncio.create_task(clients.get(house.tenant, house.module))
    two = asyncio.create_task(clients.get(house.tenant, house.module))
    await rows.reading.wait()
    one.cancel()
    rows.gate.set()
    assert (await two).revision == 1
    assert rows.loads == 1


async def test_a_connection_in_a_log_tells_no_secret(house: House, vendor: Vendor, clients: VendorClients) -> None:
    """Its printed form, and that of a task that returned it, hold neither credentials nor client."""
    await house.connect(vendor)
    task = asyncio.create_task(clients.get(house.tenant, house.module))
    active = await task
    assert KEY not in f"{active!r} {active} {task!r} {house.connections!r}"


class Context(AvailabilityContext):
    """What a resolver looks at."""

    def __init__(self, rows: IntegrationRows, tenant: str) -> None:
        self._rows = rows
        self._tenant = tenant

    @property
    def tenant(self) -> str:
        """The tenant."""
        return self._tenant

    async def integration(self, provider: str) -> Integration | None:
        """Reads the tenant's integrations."""
        return (await self._rows.integrations(self._tenant)).get(provider)


async def refusal(connections: Connections, tenant: str, wanted: RegisteredModule) -> tuple[str, str]:
    """Returns reason and message of a connection that cannot be used."""
    with pytest.raises(ActionFailure) as caught:
        await connections.client(tenant, wanted)
    return caught.value.failure.reason, caught.value.failure.message


async def test_failures_say_what_the_catalog_says(house: House, vendor: Vendor, database: Database) -> None:
    """Not connected, switched off, never accepted: reason and message are those of the availability rule."""
    steps = ("", "UPDATE rmm_integrations SET connected_at = NULL", "UPDATE rmm_integrations SET is_active = false")
    for step in steps:
        if step:
            await house.connect(vendor)
            async with database.tenant(house.tenant) as connection:
                await connection.execute(step)
            house.connections.forget(house.tenant)
        verdict = await house.module.module.availability(Context(house.rows, house.tenant))
        assert await refusal(house.connections, house.tenant, house.module) == (verdict.reason, verdict.message)


async def test_a_module_without_a_connection_needs_none(house: House) -> None:
    """Core modules get an empty connection without a look-up."""
    bare = RegisteredModule(house.module.definition, module(connect=None))
    active = await house.connections.client(house.tenant, bare)
    assert (active.id, active.client, active.secrets) == ("", None, frozenset())


async def test_missing_credentials_and_keys_are_told_with_a_remedy(
    house: House, vendor: Vendor, database: Database
) -> None:
    """A master key that is gone is named; a row without credentials asks to connect again."""
    await house.connect(vendor)
    async with database.tenant(house.tenant) as connection:
        await connection.execute("UPDATE connection_credentials SET key_id = 'gone'")
    reason, message = await refusal(house.connections, house.tenant, house.module)
    assert (reason, "`gone`" in message) == ("INTEGRATION_MISCONFIGURED", True)
    async with database.tenant(house.tenant) as connection:
        await connection.execute("DELETE FROM connection_credentials")
    house.connections.forget(house.tenant)
    assert (await refusal(house.connections, house.tenant, house.module))[0] == "INTEGRATION_MISCONFIGURED"


async def settle() -> None:
    """Lets finalizers and the tasks that they start run."""
    gc.collect()
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_replaced_client_is_closed_when_its_last_user_lets_go(
    house: House, vendor: Vendor, clients: VendorClients
) -> None:
    """Not earlier: an execution may still be using it."""
    await house.connect(vendor)
    in_use = await clients.get(house.tenant, house.module)
    await house.connect(vendor)
    clients.forget(house.tenant)
    await clients.get(house.tenant, house.module)
    await settle()
    closed = house.clients.closed
    del in_use
    await settle()
    assert house.clients.closed == closed + 1


async def test_memory_is_bounded_and_the_longest_unused_client_leaves(
    house: House, vendor: Vendor, clients: VendorClients, rows: CountingRows, database: Database
) -> None:
    """With room for three, the fourth tenant pushes out the one that was used least recently."""
    tenants = [(await Tenants(database).create(f"tenant-{number}")).id for number in range(4)]
    for tenant in tenants:
        house.tenant = tenant
        await house.connect(vendor)
    for tenant in (*tenants[:3], tenants[0], tenants[3]):
        await clients.get(tenant, house.module)
    assert rows.loads == 4
    await clients.get(tenants[0], house.module)
    assert rows.loads == 4
    await clients.get(tenants[1], house.module)
    assert rows.loads == 5


async def test_at_the_end_every_client_is_closed(house: House, vendor: Vendor, clients: VendorClients) -> None:
    """Closing the process's clients closes those in memory."""
    await house.connect(vendor)
    await clients.get(house.tenant, house.module)
    closed = house.clients.closed
    await clients.aclose()
    assert house.clients.closed == closed + 1
