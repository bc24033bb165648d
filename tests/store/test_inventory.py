"""The inventory: what vendors told, stored once, found by name, never across tenants."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from server.sdk.inventory import Device, DeviceFilter
from server.store.database import Database
from server.store.inventory import Assets

pytestmark = pytest.mark.anyio

ALPHA, BETA = str(uuid4()), str(uuid4())
SEEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SERVER = Device(
    device_id="d1",
    name="SRV-Main",
    organization_id="7",
    organization_name="Acme",
    site_name="Main Street",
    platform="windows",
    os_name="Windows Server 2022",
    status="online",
    last_seen_at=SEEN,
)
LAPTOP = Device(device_id="d2", name="laptop_50%", organization_name="Beta", site_name="Home")


async def _found(assets: Assets, **wanted: object) -> list[str]:
    return [device.device_id for device in await assets.find(DeviceFilter(**wanted))]  # type: ignore[arg-type]


async def _versions(database: Database) -> dict[str, str]:
    """Returns the row versions, which change with every write."""
    async with database.system() as connection:
        rows = await connection.fetch("SELECT rmm_device_id, xmin::text AS version FROM assets")
    return {row["rmm_device_id"]: row["version"] for row in rows}


async def test_a_device_comes_back_as_it_was_told(database: Database) -> None:
    """Every attribute survives, and the asset id that refresh returned is the one that find gives."""
    assets = Assets(database, ALPHA, "vendor")
    ids = await assets.refresh([SERVER], complete=False)
    assert str(UUID(ids["d1"])) == ids["d1"]
    assert await assets.find(DeviceFilter()) == [replace(SERVER, asset_id=ids["d1"])]
    assert await _found(assets, asset_id=ids["d1"]) == ["d1"]
    assert await _found(assets, device_id="d1", query="acme") == ["d1"]


async def test_only_a_complete_answer_fills_the_inventory(database: Database) -> None:
    """Before the first complete answer `filled` is False, afterwards True, also when the vendor has no device."""
    assets = Assets(database, ALPHA, "vendor")
    await assets.refresh([SERVER], complete=False)
    assert not await assets.filled()
    assert await assets.refresh([], complete=True) == {}
    assert await assets.filled()
    assert not await Assets(database, ALPHA, "other").filled()
    assert not await Assets(database, BETA, "vendor").filled()


async def test_devices_that_are_missing_are_gone_until_they_return(database: Database) -> None:
    """A complete answer hides the devices that it lacks; the same device keeps its asset id when it comes back."""
    assets = Assets(database, ALPHA, "vendor")
    ids = await assets.refresh([SERVER, LAPTOP], complete=True)
    await assets.refresh([SERVER], complete=True)
    assert await _found(assets) == ["d1"]
    assert await _found(assets, asset_id=ids["d2"]) == []
    await assets.refresh([], complete=False)
    assert await _found(assets) == ["d1"]
    assert (await assets.refresh([LAPTOP], complete=False))["d2"] == ids["d2"]
    assert await _found(assets) == ["d2", "d1"]


async def test_a_complete_answer_concerns_its_provider_and_tenant_only(database: Database) -> None:
    """Devices of other providers and tenants are neither hidden nor seen, though their ids are equal."""
    mine, other, theirs = (
        Assets(database, ALPHA, "vendor"),
        Assets(database, ALPHA, "other"),
        Assets(database, BETA, "vendor"),
    )
    ids = [await assets.refresh([SERVER], complete=True) for assets in (mine, other, theirs)]
    assert len({each["d1"] for each in ids}) == 3
    await mine.refresh([], complete=True)
    assert [await _found(assets) for assets in (mine, other, theirs)] == [[], ["d1"], ["d1"]]
    assert await theirs.find(DeviceFilter(asset_id=ids[1]["d1"])) == []


async def test_what_is_not_told_keeps_its_last_value(database: Database) -> None:
    """None does not erase; a value does replace."""
    assets = Assets(database, ALPHA, "vendor")
    await assets.refresh([SERVER], complete=False)
    await assets.refresh([Device(device_id="d1", status="offline", site_name="Cellar")], complete=False)
    (found,) = await assets.find(DeviceFilter())
    assert found == replace(SERVER, asset_id=found.asset_id, status="offline", site_name="Cellar")


async def test_rows_without_news_are_not_written(database: Database) -> None:
    """Of 5,000 devices that are told again only the changed one is written, in one statement."""
    assets = Assets(database, ALPHA, "vendor")
    devices = [replace(SERVER, device_id=f"d{number}", name=f"device {number}") for number in range(5000)]
    ids = await assets.refresh(devices, complete=True)
    before = await _versions(database)
    devices[7] = replace(devices[7], status="offline")
    assert await assets.refresh(devices, complete=True) == ids
    after = await _versions(database)
    assert [device for device in after if after[device] != before[device]] == ["d7"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("srv", ["d1"]),
        ("ACME", ["d1"]),
        ("main street", ["d1"]),
        ("p_5", ["d2"]),
        ("50%", ["d2"]),
        ("%", ["d2"]),
        ("_", ["d2"]),
        ("SRV-MainAcme", []),
        ("' OR true --", []),
        ("m", ["d2", "d1"]),
        ("\0", []),
    ],
)
async def test_queries_are_plain_text(database: Database, query: str, expected: list[str]) -> None:
    """A query is looked for as it is, in name, organization and site, without regard to case."""
    assets = Assets(database, ALPHA, "vendor")
    await assets.refresh([SERVER, replace(LAPTOP, site_name="Home")], complete=False)
    assert await _found(assets, query=query) == expected


async def test_lists_are_by_name_and_limited(database: Database) -> None:
    """Order is by name without regard to case, devices without a name last; the limit is kept."""
    assets = Assets(database, ALPHA, "vendor")
    names = {"d1": "b", "d2": "A", "d3": None, "d4": "C"}
    await assets.refresh([Device(device_id=id, name=name) for id, name in names.items()], complete=False)
    assert await _found(assets) == ["d2", "d1", "d4", "d3"]
    assert await _found(assets, limit=2) == ["d2", "d1"]


async def test_odd_answers_of_vendors_are_stored(database: Database) -> None:
    """A device told twice, zero bytes and broken characters neither fail nor lose a device."""
    assets = Assets(database, ALPHA, "vendor")
    told = [LAPTOP, replace(LAPTOP, name="later"), Device(device_id="x\0y", name="a\0b\ud800", os_name="\0")]
    ids = await assets.refresh(told, complete=True)
    assert set(ids) == {"d2", "x\0y"}
    assert {device.name for device in await assets.find(DeviceFilter())} == {"later", "a␀b?"}
    assert await _found(assets, asset_id="not-a-uuid") == []


async def test_refreshes_at_the_same_time_all_succeed(database: Database) -> None:
    """Overlapping complete and partial answers end without a single deadlock, one asset for each device."""
    assets = Assets(database, ALPHA, "vendor")
    devices = [Device(device_id=f"d{number}", name="n") for number in range(200)]

    async def refresh(turn: int) -> None:
        told = [replace(device, status=str(turn)) for device in devices[turn % 5 :: 1 + turn % 3]]
        await assets.refresh(told, complete=turn % 2 == 0)

    await asyncio.gather(*(refresh(turn) for turn in range(60)))
    ids = await assets.refresh(devices, complete=True)
    async with database.system() as connection:
        sql = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        assert await connection.fetchval(sql) == 0
    assert len(ids) == len(set(ids.values())) == 200
    assert len(await _found(assets, limit=1000)) == 200
