"""The book of alerts: tables `rmm_alerts` and `rmm_alert_fills`."""

import json
from collections.abc import Sequence
from typing import Any, Final

import asyncpg

from server.sdk.alert_book import Alert
from server.store.database import Database
from server.store.text import storable, storable_json, uuid_of

_FRESH: Final = """
    SELECT EXISTS (SELECT FROM rmm_alert_fills
        WHERE tenant = $1 AND integration_id = $2
            AND filled_at BETWEEN now() - interval '60 seconds' AND now() + interval '1 second')
"""
_COLUMNS: Final = """
    alert_id, external_alert_id, external_device_id, asset_id, status, severity, priority, source_type, title, message,
    triggered_at, vendor_updated_at, metadata
"""
_ACTIVE: Final = f"""
    SELECT {_COLUMNS} FROM rmm_alerts
    WHERE tenant = $1 AND integration_id = $2 AND status = 'active' AND ($3 = '' OR external_device_id = $3)
    ORDER BY triggered_at DESC NULLS LAST, external_alert_id LIMIT $4
"""
_GET: Final = f"""
    SELECT {_COLUMNS} FROM rmm_alerts
    WHERE tenant = $1 AND integration_id = $2 AND (external_alert_id = $3 OR alert_id = $4)
    ORDER BY external_alert_id = $3 DESC LIMIT 1
"""
# What the vendor did not tell (NULL) keeps its last known value.
_REFRESH: Final = f"""
    INSERT INTO rmm_alerts AS a (tenant, integration_id, external_alert_id, external_device_id, asset_id, status,
        severity, priority, source_type, title, message, triggered_at, vendor_updated_at, metadata)
    SELECT $1, $2, told.id, told.device_id, asset.asset_id, told.status, told.severity, told.priority,
        told.source_type, told.title, told.message, told.created_at, told.updated_at, told.metadata
    FROM unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[],
        $12::timestamptz[], $13::timestamptz[], $14::jsonb[]) AS told
        (id, device_id, status, severity, priority, source_type, title, message, created_at, updated_at, metadata)
    LEFT JOIN assets asset ON asset.tenant = $1 AND asset.rmm_provider = $3 AND asset.rmm_device_id = told.device_id
    ORDER BY told.id COLLATE "C"
    ON CONFLICT (tenant, integration_id, external_alert_id) DO UPDATE SET
        external_device_id = coalesce(EXCLUDED.external_device_id, a.external_device_id),
        asset_id = coalesce(EXCLUDED.asset_id, a.asset_id), status = EXCLUDED.status,
        severity = coalesce(EXCLUDED.severity, a.severity), priority = coalesce(EXCLUDED.priority, a.priority),
        source_type = coalesce(EXCLUDED.source_type, a.source_type), title = coalesce(EXCLUDED.title, a.title),
        message = coalesce(EXCLUDED.message, a.message),
        triggered_at = coalesce(EXCLUDED.triggered_at, a.triggered_at),
        vendor_updated_at = coalesce(EXCLUDED.vendor_updated_at, a.vendor_updated_at),
        resolved_at = CASE WHEN EXCLUDED.status = 'resolved' THEN coalesce(a.resolved_at, now()) END,
        metadata = a.metadata || EXCLUDED.metadata
    RETURNING {_COLUMNS}
"""
# Locks rows in the order in which `_REFRESH` does, so that the two never wait for each other in a circle.
_COMPLETE: Final = """
    WITH missing AS (
        SELECT alert_id FROM rmm_alerts
        WHERE tenant = $1 AND integration_id = $2 AND status = 'active'
            AND NOT EXISTS (SELECT FROM unnest($3::text[]) AS told (id) WHERE told.id = external_alert_id)
        ORDER BY external_alert_id COLLATE "C" FOR UPDATE OF rmm_alerts
    ), over AS (
        UPDATE rmm_alerts a SET status = 'resolved', resolved_at = now()
        FROM missing m WHERE a.tenant = $1 AND a.alert_id = m.alert_id
    )
    INSERT INTO rmm_alert_fills (tenant, integration_id, filled_at) VALUES ($1, $2, now())
    ON CONFLICT (tenant, integration_id) DO UPDATE SET filled_at = EXCLUDED.filled_at
"""
_CLOSE: Final = f"""
    UPDATE rmm_alerts SET status = $4, resolved_at = CASE WHEN $4 = 'resolved' THEN coalesce(resolved_at, now()) END
    WHERE tenant = $1 AND integration_id = $2 AND external_alert_id = $3
    RETURNING {_COLUMNS}
"""
_PRUNE: Final = """
    DELETE FROM rmm_alerts
    WHERE status <> 'active' AND coalesce(resolved_at, vendor_updated_at, triggered_at) < now() - interval '90 days'
"""
_TEXTS: Final = ("device_id", "status", "severity", "priority", "source_type", "title", "message")


class Alerts:
    """The alerts of one connection; see `server.sdk.alerts.AlertBook`."""

    def __init__(self, database: Database, tenant: str, provider: str, connection_id: str) -> None:
        self._database = database
        self._tenant = tenant
        self._provider = provider
        self._connection = connection_id

    async def fresh(self) -> bool:
        """Says whether all active alerts were told within the last minute."""
        return bool(await self._query(_FRESH))

    async def active(self, *, device_id: str = "", limit: int) -> Sequence[Alert]:
        """Returns active alerts, newest first."""
        return [_alert(row) for row in await self._rows(_ACTIVE, storable(device_id), limit)]

    async def get(self, id: str) -> Alert | None:
        """Returns an alert by its id at the vendor, else by that in the book."""
        rows = await self._rows(_GET, storable(id), uuid_of(id))
        return _alert(rows[0]) if rows else None

    async def refresh(self, alerts: Sequence[Alert], *, complete: bool) -> Sequence[Alert]:
        """Stores what the vendor just told; returns it in the same order with the ids of book and assets.

        Of an alert that is told twice the last counts.
        """
        told = {storable(one.external_alert_id): one for one in alerts}
        rows = await self._rows(_REFRESH, self._provider, *_columns(told)) if told else []
        if complete:
            async with self._database.tenant(self._tenant) as connection:
                await connection.execute(_COMPLETE, self._tenant, self._connection, sorted(told))
        known = {row["external_alert_id"]: _alert(row) for row in rows}
        return [known[id] for id in told]

    async def close(self, external_alert_id: str, status: str) -> Alert | None:
        """Gives an alert a status; None when it is not in the book."""
        rows = await self._rows(_CLOSE, storable(external_alert_id), status)
        return _alert(rows[0]) if rows else None

    async def _rows(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        async with self._database.tenant(self._tenant) as connection:
            return list(await connection.fetch(sql, self._tenant, self._connection, *arguments))

    async def _query(self, sql: str) -> Any:
        return (await self._rows(sql))[0][0]


async def prune_alerts(database: Database) -> None:
    """Forgets alerts that have been over for 90 days."""
    async with database.system() as connection:
        await connection.execute(_PRUNE)


def _columns(told: dict[str, Alert]) -> list[list[Any]]:
    alerts = list(told.values())
    texts = [[None if (text := getattr(one, name)) is None else storable(text) for one in alerts] for name in _TEXTS]
    times = [[one.created_at for one in alerts], [one.updated_at for one in alerts]]
    return [list(told), *texts, *times, [_metadata(one) for one in alerts]]


def _metadata(alert: Alert) -> str:
    return json.dumps(storable_json({name: value for name, value in alert.details.items() if value is not None}))


def _alert(row: asyncpg.Record) -> Alert:
    return Alert(
        external_alert_id=row["external_alert_id"],
        alert_id=str(row["alert_id"]),
        status=row["status"],
        severity=row["severity"],
        priority=row["priority"],
        title=row["title"],
        message=row["message"],
        device_id=row["external_device_id"],
        asset_id=str(row["asset_id"]) if row["asset_id"] else None,
        source_type=row["source_type"],
        created_at=row["triggered_at"],
        updated_at=row["vendor_updated_at"],
        details=json.loads(row["metadata"]),
    )
