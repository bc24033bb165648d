"""The outbox: tables `outbox_events`, `outbox_deliveries` and `outbox_dead_letters`.

Events and deliveries are written by the board, in the transaction of what they tell (server/store/schedule.py).
"""

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg

from server.core.deliveries import Delivery, DeliveryRecord, ShownEvent, Sync, UnreadableEvent
from server.core.records import failure_from_json, failure_to_json
from server.gen.patchbay.v1 import failure_pb2
from server.sdk.events import Event
from server.store.database import Connection, Database
from server.store.schedule_rows import EntryUnreadable, entry_from_json
from server.store.text import storable_json

# Steps from one connection that has anything to do to the next, so that the length of no backlog matters. Of each come
# as many as it has places left, first those of connections with the most places free. A delivery is due when none of
# the same entry for the same connection stands before it or is being worked on.
TAKE: Final = """
    WITH RECURSIVE waiting AS (
        (SELECT d.tenant, d.integration_id FROM outbox_deliveries d WHERE d.delivered_at IS NULL
            ORDER BY d.tenant, d.integration_id LIMIT 1)
        UNION ALL
        SELECT n.tenant, n.integration_id FROM waiting w CROSS JOIN LATERAL (
            SELECT d.tenant, d.integration_id FROM outbox_deliveries d
            WHERE d.delivered_at IS NULL AND (d.tenant, d.integration_id) > (w.tenant, w.integration_id)
            ORDER BY d.tenant, d.integration_id LIMIT 1) n
    ), busy AS MATERIALIZED (
        SELECT w.tenant, w.integration_id, (
            SELECT count(*) FROM outbox_deliveries b
            WHERE b.integration_id = w.integration_id AND b.delivered_at IS NULL AND b.lease_until > now()) AS places
        FROM waiting w JOIN rmm_integrations i USING (tenant, integration_id)
        WHERE i.is_active AND i.connected_at IS NOT NULL AND i.provider = ANY ($1)
    ), heads AS (
        SELECT d.*, busy.integration_id, busy.places FROM busy CROSS JOIN LATERAL (
            SELECT d.ctid AS place, d.next_try_at FROM outbox_deliveries d
            WHERE d.tenant = busy.tenant AND d.integration_id = busy.integration_id AND d.delivered_at IS NULL
                AND d.next_try_at <= now() AND (d.lease_until IS NULL OR d.lease_until <= now())
                AND NOT EXISTS (
                    SELECT FROM outbox_deliveries o
                    WHERE o.subject = d.subject AND o.integration_id IS NOT DISTINCT FROM d.integration_id
                        AND o.delivered_at IS NULL AND o.event_id <> d.event_id
                        AND (o.sequence < d.sequence OR o.lease_until > now())
                    OFFSET 0)
            ORDER BY d.next_try_at LIMIT greatest(0, $3 - busy.places)
        ) d
    ), due AS MATERIALIZED (
        SELECT h.place FROM heads h
        ORDER BY h.places + row_number() OVER (PARTITION BY h.integration_id ORDER BY h.next_try_at), h.next_try_at
        LIMIT $2
    ), taken AS MATERIALIZED (
        SELECT d.ctid AS place FROM due JOIN outbox_deliveries d ON d.ctid = due.place
        WHERE d.delivered_at IS NULL AND (d.lease_until IS NULL OR d.lease_until <= now())
        FOR UPDATE OF d SKIP LOCKED
    ), leased AS (
        UPDATE outbox_deliveries d
        SET lease_until = clock_timestamp() + $4 * interval '1 second', attempts = d.attempts + 1
        FROM taken WHERE d.ctid = taken.place
        RETURNING d.tenant, d.event_id, d.integration_id, d.consumer, d.attempts, d.lease_until
    )
    SELECT l.tenant::text, l.integration_id::text, l.consumer, l.attempts, l.lease_until, l.event_id::text, e.type,
        e.sequence, e.created_at, e.data
    FROM leased l JOIN outbox_events e USING (tenant, event_id)
"""
# What the planner knows of a queue is mostly wrong: there was nothing pending when it looked. Indexes are always right;
# IS NOT DISTINCT FROM and OFFSET above leave it only the one by entry.
BY_INDEX: Final = "; ".join(
    f"SET LOCAL enable_{way} = off" for way in ("seqscan", "bitmapscan", "hashjoin", "mergejoin")
)
_ONE: Final = "d.tenant = $1 AND d.event_id = $2 AND d.integration_id = $3"
_ARRIVED: Final = f"""
    UPDATE outbox_deliveries d SET delivered_at = now(), lease_until = NULL, last_failure = NULL
    WHERE {_ONE} AND d.delivered_at IS NULL
"""
_PUT_OFF: Final = f"""
    UPDATE outbox_deliveries d SET lease_until = NULL, last_failure = $5, attempts = d.attempts - $7,
        next_try_at = now() + $6 * interval '1 second'
    WHERE {_ONE} AND d.lease_until = $4 AND d.delivered_at IS NULL
"""
_COLUMNS: Final = "tenant, event_id, integration_id, consumer, subject, sequence"
_BURY: Final = f"""
    WITH gone AS (
        DELETE FROM outbox_deliveries d WHERE {_ONE} AND d.lease_until = $4 AND d.delivered_at IS NULL
        RETURNING {_COLUMNS}, attempts
    )
    INSERT INTO outbox_dead_letters ({_COLUMNS}, attempts, last_failure) SELECT gone.*, $5 FROM gone
"""
# The last event of an entry that is still to come, which tells all about it.
_TO_COME: Final = """
    s.tenant = e.tenant AND s.entry_id = e.subject AND s.sequence = e.sequence AND CASE
        WHEN s.is_recurring THEN s.recurs_until IS NULL OR s.recurs_until > now()
        ELSE s.scheduled_end IS NULL OR s.scheduled_end > now() END
"""
_PRUNE: Final = f"""
    WITH old AS (
        SELECT e.tenant, e.event_id FROM outbox_events e
        WHERE e.created_at < $1 AND NOT EXISTS (
            SELECT FROM outbox_deliveries d JOIN rmm_integrations i USING (tenant, integration_id)
            WHERE d.tenant = e.tenant AND d.event_id = e.event_id AND d.delivered_at IS NULL AND i.is_active)
            AND NOT EXISTS (SELECT FROM schedule_entries s WHERE {_TO_COME})
        ORDER BY e.created_at LIMIT $2
        FOR UPDATE OF e SKIP LOCKED)
    DELETE FROM outbox_events e USING old WHERE e.tenant = old.tenant AND e.event_id = old.event_id
"""
_DELIVERIES: Final = """
    SELECT d.event_id::text, e.type, d.subject::text, d.sequence, d.consumer, d.attempts, d.last_failure,
        e.created_at, d.delivered_at AS ended_at,
        CASE WHEN d.delivered_at IS NULL THEN 'pending' ELSE 'delivered' END AS state,
        CASE WHEN d.delivered_at IS NULL THEN d.next_try_at END AS next_try_at
    FROM outbox_deliveries d JOIN outbox_events e USING (tenant, event_id)
"""
_DEAD: Final = """
    SELECT d.event_id::text, e.type, d.subject::text, d.sequence, d.consumer, d.attempts, d.last_failure,
        e.created_at, d.died_at AS ended_at, 'dead' AS state, NULL::timestamptz AS next_try_at
    FROM outbox_dead_letters d JOIN outbox_events e USING (tenant, event_id)
"""
_OF_ENTRY: Final = f"""
    SELECT * FROM (
        {_DELIVERIES} WHERE e.tenant = $1 AND e.subject = $2
        UNION ALL {_DEAD} WHERE e.tenant = $1 AND e.subject = $2
    ) AS told ORDER BY consumer, sequence
"""
_LAST: Final = "SELECT sequence FROM schedule_entries WHERE tenant = $1 AND entry_id = $2"
_SHOWN: Final = """
    SELECT p.user_id::text, p.provider_type, m.external_event_id, m.sequence
    FROM calendar_event_mappings m
    JOIN calendar_providers p ON p.tenant = m.tenant AND p.id = m.calendar_provider_id
    WHERE m.tenant = $1 AND m.schedule_entry_id = $2 ORDER BY p.provider_type, p.user_id
"""
_REVIVE: Final = f"""
    WITH back AS (
        DELETE FROM outbox_dead_letters d WHERE d.tenant = $1 AND d.event_id = $2 AND d.consumer = $3
        RETURNING {_COLUMNS}
    )
    INSERT INTO outbox_deliveries ({_COLUMNS}) SELECT back.* FROM back
"""
_FILL: Final = f"""
    INSERT INTO outbox_deliveries ({_COLUMNS})
    SELECT e.tenant, e.event_id, i.integration_id, i.provider, e.subject, e.sequence
    FROM schedule_entries s JOIN outbox_events e ON {_TO_COME} JOIN rmm_integrations i ON i.tenant = s.tenant
    WHERE s.tenant = $1 AND i.is_active AND i.provider = ANY ($2)
"""
_TELL_NEWS: Final = f"{_FILL} ON CONFLICT (tenant, event_id, integration_id) DO NOTHING"
_TELL_AGAIN: Final = f"""
    {_FILL} AND EXISTS (
        SELECT FROM schedule_entry_assignees a
        WHERE a.tenant = s.tenant AND a.entry_id = s.entry_id AND a.user_id = $3)
    ON CONFLICT (tenant, event_id, integration_id) DO UPDATE
    SET delivered_at = NULL, attempts = 0, next_try_at = now(), lease_until = NULL
"""


async def tell_news(connection: Connection, tenant: str, provider: str) -> None:
    """Has a connection that is on now told the last event of each entry to come, unless it has been told already."""
    await connection.execute(_TELL_NEWS, tenant, [provider])


async def tell_again(connection: Connection, tenant: str, consumers: Collection[str], user_id: str) -> None:
    """Has connections told the last event of each entry to come of a user, again where they were told already."""
    await connection.execute(_TELL_AGAIN, tenant, list(consumers), user_id)


class Outbox:
    """The outbox of all tenants; see `server.core.deliveries.OutboxStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(
        self, consumers: Sequence[str], *, room: int, room_each: int, lease_seconds: float
    ) -> Sequence[Delivery]:
        """Takes deliveries that are due; of one entry and connection the first only.

        Args:
            consumers: Providers whose modules this server has.
            room: Most deliveries.
            room_each: Most deliveries of one connection at the same time, by all replicas; two that take in the same
                moment may exceed it.
            lease_seconds: After this time others may take them.
        """
        async with self._database.system() as connection, connection.transaction():
            await connection.execute(BY_INDEX)
            rows = await connection.fetch(TAKE, list(consumers), room, room_each, lease_seconds)
        return [_delivery(row) for row in rows]

    async def arrived(self, delivery: Delivery) -> None:
        """Records that it was delivered, also when the lease is over: it was."""
        await self._write(_ARRIVED, delivery)

    async def put_off(
        self, delivery: Delivery, failure: failure_pb2.Failure, seconds: float, *, counts: bool = True
    ) -> None:
        """Has it tried again after some seconds, unless somebody else has it by now."""
        await self._write(_PUT_OFF, delivery, delivery.lease, _told(failure), seconds, 0 if counts else 1)

    async def bury(self, delivery: Delivery, failure: failure_pb2.Failure) -> None:
        """Makes it a dead letter, unless somebody else has it by now."""
        await self._write(_BURY, delivery, delivery.lease, _told(failure))

    async def prune(self, before: datetime, limit: int) -> int:
        """Deletes events with their deliveries and dead letters; returns how many. What a connection that is switched
        off would still get is dropped with them."""
        async with self._database.system() as connection:
            tag = await connection.execute(_PRUNE, before, limit)
        return int(tag.rsplit(" ", 1)[1])

    async def sync(self, tenant: str, entry_id: str) -> Sync | None:
        """Returns where an entry's events have arrived; None when there is no such entry."""
        async with self._database.tenant(tenant) as connection:
            last = await connection.fetchval(_LAST, tenant, entry_id)
            if last is None:
                return None
            deliveries = await connection.fetch(_OF_ENTRY, tenant, entry_id)
            shown = await connection.fetch(_SHOWN, tenant, entry_id)
        return Sync(last, [_record(row) for row in deliveries], [_shown(row) for row in shown])

    async def dead_letters(self, tenant: str, limit: int) -> Sequence[DeliveryRecord]:
        """Returns deliveries that were given up, newest first."""
        sql = f"{_DEAD} WHERE d.tenant = $1 ORDER BY d.died_at DESC, d.event_id LIMIT $2"
        async with self._database.tenant(tenant) as connection:
            return [_record(row) for row in await connection.fetch(sql, tenant, limit)]

    async def revive(self, tenant: str, event_id: str, consumer: str) -> DeliveryRecord | None:
        """Has a delivery that was given up tried from anew; one that is none any more is returned as it is."""
        sql = f"{_DELIVERIES} WHERE d.tenant = $1 AND d.event_id = $2 AND d.consumer = $3"
        async with self._database.tenant(tenant) as connection, connection.transaction():
            await connection.execute(_REVIVE, tenant, event_id, consumer)
            row = await connection.fetchrow(sql, tenant, event_id, consumer)
        return None if row is None else _record(row)

    async def _write(self, sql: str, delivery: Delivery, *more: Any) -> None:
        which = (delivery.tenant, delivery.event.id, delivery.connection_id)
        async with self._database.tenant(delivery.tenant) as connection:
            await connection.execute(sql, *which, *more)


def _event(row: asyncpg.Record) -> Event | UnreadableEvent:
    """Reads an event; one that cannot be read stops no others that were taken with it."""
    id, sequence = row["event_id"], row["sequence"]
    try:
        entry = entry_from_json(json.loads(row["data"]), sequence)
    except EntryUnreadable as defect:
        return UnreadableEvent(id=id, why=str(defect))
    except Exception as defect:  # noqa: BLE001 - whatever a row holds
        return UnreadableEvent(id=id, why=type(defect).__name__)
    return Event(id=id, type=row["type"], sequence=sequence, at=row["created_at"], entry=entry)


def _delivery(row: asyncpg.Record) -> Delivery:
    return Delivery(
        tenant=row["tenant"],
        connection_id=row["integration_id"],
        consumer=row["consumer"],
        event=_event(row),
        attempt=row["attempts"],
        lease=row["lease_until"],
    )


def _record(row: asyncpg.Record) -> DeliveryRecord:
    failure = row["last_failure"]
    return DeliveryRecord(
        event_id=row["event_id"],
        type=row["type"],
        entry_id=row["subject"],
        sequence=row["sequence"],
        consumer=row["consumer"],
        state=row["state"],
        attempts=row["attempts"],
        next_try_at=row["next_try_at"],
        last_failure=failure_from_json(json.loads(failure)) if failure else None,
        event_at=row["created_at"],
        ended_at=row["ended_at"],
    )


def _shown(row: asyncpg.Record) -> ShownEvent:
    return ShownEvent(
        user_id=row["user_id"],
        provider=row["provider_type"],
        external_id=row["external_event_id"],
        sequence=row["sequence"],
    )


def _told(failure: failure_pb2.Failure) -> str:
    return json.dumps(storable_json(failure_to_json(failure)))
