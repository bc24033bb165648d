"""The local inventory of devices: tables `assets` and `asset_fills`."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import asyncpg

from server.sdk.inventory import Device, DeviceFilter
from server.store.database import Database
from server.store.text import storable, storable_json, uuid_of

_ATTRIBUTES: Final = ("organization_name", "site_name", "platform", "os_name")
_DETAIL: Final = "details."

_FILLED: Final = "SELECT EXISTS (SELECT FROM asset_fills WHERE tenant = $1 AND rmm_provider = $2)"
_FIND: Final = """
    SELECT asset_id, name, rmm_device_id, rmm_organization_id, agent_status, last_seen_at, rmm_attributes
    FROM assets
    WHERE tenant = $1 AND rmm_provider = $2 AND gone_at IS NULL
        AND ($3 = '' OR rmm_device_id = $3)
        AND ($4::uuid IS NULL OR asset_id = $4)
        AND ($5 = '' OR strpos(lower(concat_ws(
            E'\\n', name, rmm_attributes ->> 'organization_name', rmm_attributes ->> 'site_name')), lower($5)) > 0)
        AND ($6 = '' OR rmm_organization_id = $6)
    ORDER BY lower(name) NULLS LAST, rmm_device_id
    LIMIT $7
"""
# What the vendor did not tell (NULL) keeps its last known value. Rows without news are not written.
_REFRESH: Final = """
    WITH told AS (
        SELECT * FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::jsonb[])
            AS told (device_id, name, organization_id, status, last_seen_at, attributes)
    ), written AS (
        INSERT INTO assets AS a (tenant, rmm_provider, rmm_device_id, name, rmm_organization_id, agent_status,
            last_seen_at, rmm_attributes)
        SELECT $1, $2, device_id, name, organization_id, status, last_seen_at, attributes FROM told
        ON CONFLICT (tenant, rmm_provider, rmm_device_id) DO UPDATE SET
            name = coalesce(EXCLUDED.name, a.name),
            rmm_organization_id = coalesce(EXCLUDED.rmm_organization_id, a.rmm_organization_id),
            agent_status = coalesce(EXCLUDED.agent_status, a.agent_status),
            last_seen_at = coalesce(EXCLUDED.last_seen_at, a.last_seen_at),
            rmm_attributes = a.rmm_attributes || EXCLUDED.rmm_attributes,
            last_rmm_sync_at = now(),
            gone_at = NULL
        WHERE a.gone_at IS NOT NULL OR NOT a.rmm_attributes @> EXCLUDED.rmm_attributes OR (
            coalesce(EXCLUDED.name, a.name), coalesce(EXCLUDED.rmm_organization_id, a.rmm_organization_id),
            coalesce(EXCLUDED.agent_status, a.agent_status), coalesce(EXCLUDED.last_seen_at, a.last_seen_at)
        ) IS DISTINCT FROM (a.name, a.rmm_organization_id, a.agent_status, a.last_seen_at)
        RETURNING a.rmm_device_id, a.asset_id
    )
    SELECT rmm_device_id, asset_id FROM written
    UNION
    SELECT rmm_device_id, asset_id FROM assets
    WHERE tenant = $1 AND rmm_provider = $2 AND rmm_device_id = ANY ($3)
"""
# Locks rows in the order in which `_REFRESH` does, so that the two never wait for each other in a circle.
_COMPLETE: Final = """
    WITH missing AS (
        SELECT asset_id FROM assets
        WHERE tenant = $1 AND rmm_provider = $2 AND gone_at IS NULL
            AND NOT EXISTS (SELECT FROM unnest($3::text[]) AS told (id) WHERE told.id = rmm_device_id)
        ORDER BY rmm_device_id COLLATE "C" FOR UPDATE OF assets
    ), gone AS (
        UPDATE assets a SET gone_at = now() FROM missing m WHERE a.tenant = $1 AND a.asset_id = m.asset_id
    )
    INSERT INTO asset_fills (tenant, rmm_provider, filled_at, devices) VALUES ($1, $2, now(), cardinality($3))
    ON CONFLICT (tenant, rmm_provider) DO UPDATE SET filled_at = EXCLUDED.filled_at, devices = EXCLUDED.devices
"""
_IDS: Final = """
    SELECT rmm_device_id, asset_id FROM assets WHERE tenant = $1 AND rmm_provider = $2 AND rmm_device_id = ANY ($3)
"""


class Assets:
    """One tenant's inventory of one provider; see `server.sdk.inventory.Inventory`."""

    def __init__(self, database: Database, tenant: str, provider: str) -> None:
        self._database = database
        self._tenant = tenant
        self._provider = provider

    async def filled(self) -> bool:
        """Says whether the provider has ever told about all of its devices."""
        async with self._database.tenant(self._tenant) as connection:
            return bool(await connection.fetchval(_FILLED, self._tenant, self._provider))

    async def find(self, wanted: DeviceFilter) -> Sequence[Device]:
        """Returns devices that match and that the provider still has, by name without regard to case.

        `query` is looked for, without regard to case, in the names of device, organization and site.
        """
        asset = uuid_of(wanted.asset_id)
        if wanted.asset_id and asset is None:
            return []
        texts = (storable(wanted.query), storable(wanted.organization_id))
        chosen = (storable(wanted.device_id), asset, *texts, wanted.limit)
        async with self._database.tenant(self._tenant) as connection:
            rows = await connection.fetch(_FIND, self._tenant, self._provider, *chosen)
        return [_device(row) for row in rows]

    async def refresh(self, devices: Sequence[Device], *, complete: bool) -> Mapping[str, str]:
        """Stores what the vendor just told; returns asset ids by device id.

        Attributes that are None keep their last known value. Of a device that is told twice the last counts.

        Args:
            devices: What the vendor told.
            complete: Whether these are all that it has: others are marked as gone, and the inventory counts as filled.
        """
        told = {storable(device.device_id): device for device in devices}
        ids = sorted(told)  # rows are locked in this order everywhere, so refreshes cannot block each other for good
        known = await self._store(ids, _columns([told[id] for id in ids]))
        if complete:
            async with self._database.tenant(self._tenant) as connection:
                await connection.execute(_COMPLETE, self._tenant, self._provider, ids)
        return {device.device_id: known[storable(device.device_id)] for device in devices}

    async def _store(self, ids: list[str], columns: list[list[Any]]) -> dict[str, str]:
        async with self._database.tenant(self._tenant) as connection:
            rows = await connection.fetch(_REFRESH, self._tenant, self._provider, ids, *columns)
            if len(rows) < len(ids):  # inserted by somebody else after this statement began, and not different
                rows = await connection.fetch(_IDS, self._tenant, self._provider, ids)
        return {row["rmm_device_id"]: str(row["asset_id"]) for row in rows}


def _columns(devices: Sequence[Device]) -> list[list[Any]]:
    return [
        [_text(device.name) for device in devices],
        [_text(device.organization_id) for device in devices],
        [_text(device.status) for device in devices],
        [device.last_seen_at for device in devices],
        [_attributes(device) for device in devices],
    ]


def _attributes(device: Device) -> str:
    """Details stand flat beside the others, so that news of one keeps the last known value of the rest."""
    told: dict[str, Any] = {name: getattr(device, name) for name in _ATTRIBUTES}
    told |= {_DETAIL + name: value for name, value in device.details.items()}
    return json.dumps(storable_json({name: value for name, value in told.items() if value is not None}))


def _text(value: str | None) -> str | None:
    return None if value is None else storable(value)


def _device(row: asyncpg.Record) -> Device:
    told = json.loads(row["rmm_attributes"])
    return Device(
        device_id=row["rmm_device_id"],
        name=row["name"],
        asset_id=str(row["asset_id"]),
        organization_id=row["rmm_organization_id"],
        status=row["agent_status"],
        last_seen_at=row["last_seen_at"],
        details={name.removeprefix(_DETAIL): value for name, value in told.items() if name.startswith(_DETAIL)},
        **{name: value for name, value in told.items() if not name.startswith(_DETAIL)},
    )
