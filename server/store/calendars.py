"""People's calendars and the events in them: tables `calendar_providers` and `calendar_event_mappings`."""

from collections.abc import Collection, Sequence
from typing import Any, Final

import asyncpg

from server.sdk.events import Calendar, CalendarEvent
from server.sdk.schedule import Entry
from server.store.database import Database
from server.store.schedule import Board
from server.store.text import storable

# A calendar in trouble is still one to be written: the trouble may be over.
_CONNECTED: Final = """
    SELECT p.id::text, p.user_id::text, p.calendar_id, a.provider_account_id AS account_id
    FROM calendar_providers p JOIN user_auth_accounts a
        ON a.tenant = p.tenant AND a.provider = p.provider_type AND a.user_id = p.user_id::text
    WHERE p.tenant = $1 AND p.provider_type = $2 AND p.user_id = ANY ($3::uuid[])
        AND p.is_active AND p.status IN ('connected', 'error') AND p.sync_direction <> 'from_external'
    ORDER BY p.id
"""
_EVENTS: Final = """
    SELECT p.id::text, p.user_id::text, m.calendar_id, m.account_id, m.external_event_id, m.sequence
    FROM calendar_event_mappings m JOIN calendar_providers p ON p.tenant = m.tenant AND p.id = m.calendar_provider_id
    WHERE m.tenant = $1 AND p.provider_type = $2 AND m.schedule_entry_id = $3
    ORDER BY p.id
"""
_KEEP: Final = """
    WITH fine AS (
        UPDATE calendar_providers SET last_sync_at = now(), updated_at = now(), error_message = NULL,
            status = CASE status WHEN 'error' THEN 'connected' ELSE status END
        WHERE tenant = $1 AND provider_type = $2 AND id = $4 AND $8 > 0
    )
    INSERT INTO calendar_event_mappings (tenant, schedule_entry_id, calendar_provider_id, external_event_id,
        account_id, calendar_id, sequence, sync_status)
    SELECT $1, $3::uuid, $4::uuid, $5, $6, $7, $8::bigint, CASE WHEN $8 = 0 THEN 'pending' ELSE 'synced' END
    FROM calendar_providers WHERE tenant = $1 AND id = $4 AND provider_type = $2
    ON CONFLICT (tenant, schedule_entry_id, calendar_provider_id) DO UPDATE SET
        external_event_id = excluded.external_event_id, account_id = excluded.account_id,
        calendar_id = excluded.calendar_id, sequence = excluded.sequence, sync_status = excluded.sync_status,
        alga_last_modified = now()
"""
_DROP: Final = """
    DELETE FROM calendar_event_mappings m USING calendar_providers p
    WHERE m.tenant = $1 AND p.tenant = m.tenant AND p.id = m.calendar_provider_id AND p.provider_type = $2
        AND m.schedule_entry_id = $3 AND m.calendar_provider_id = $4
"""
_REFUSED: Final = """
    UPDATE calendar_providers SET status = CASE status WHEN 'connected' THEN 'error' ELSE status END,
        error_message = $4, updated_at = now()
    WHERE tenant = $1 AND provider_type = $2 AND id = $3
"""


class Calendars:
    """The calendars of one tenant at one provider; see `server.sdk.events.CalendarBook`."""

    def __init__(self, database: Database, tenant: str, provider: str) -> None:
        self._database = database
        self._tenant = tenant
        self._provider = provider
        self._board = Board(database, tenant)

    async def entry(self, id: str) -> Entry | None:
        """Returns an entry as it is now."""
        return await self._board.entry(id)

    async def connected(self, users: Collection[str]) -> Sequence[Calendar]:
        """Returns the calendars that are to be written, by id."""
        return [_calendar(row) for row in await self._fetch(_CONNECTED, list(users))]

    async def events_of(self, entry_id: str) -> Sequence[CalendarEvent]:
        """Returns the events that stand for an entry."""
        return [
            CalendarEvent(calendar=_calendar(row), external_id=row["external_event_id"], sequence=row["sequence"])
            for row in await self._fetch(_EVENTS, entry_id)
        ]

    async def keep(self, entry_id: str, event: CalendarEvent) -> None:
        """Remembers an event."""
        calendar = event.calendar
        external_id = storable(event.external_id)
        await self._fetch(
            _KEEP, entry_id, calendar.id, external_id, calendar.account_id, calendar.calendar_id, event.sequence
        )

    async def drop(self, entry_id: str, calendar: Calendar) -> None:
        """Forgets an event."""
        await self._fetch(_DROP, entry_id, calendar.id)

    async def refused(self, calendar: Calendar, message: str) -> None:
        """Notes why a calendar could not be written."""
        await self._fetch(_REFUSED, calendar.id, storable(message))

    async def _fetch(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        async with self._database.tenant(self._tenant) as connection:
            return list(await connection.fetch(sql, self._tenant, self._provider, *arguments))


def _calendar(row: asyncpg.Record) -> Calendar:
    return Calendar(
        id=row["id"], user_id=row["user_id"], account_id=row["account_id"], calendar_id=row["calendar_id"] or None
    )
