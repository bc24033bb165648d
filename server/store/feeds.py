"""Calendar feeds: table `schedule_feeds`. Addresses are looked up by their SHA-256, in the scope of all tenants."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg

from server.core.feed_file import FeedEntry
from server.core.feeds import Feed
from server.store.database import Database
from server.store.schedule import BOOKED
from server.store.schedule_rows import ENTRY_COLUMNS, entry_of
from server.store.text import storable

_COLUMNS: Final = "feed_id::text, tenant::text, user_id::text, label, created_at, last_read_at, revoked_at"
_ADD: Final = f"""
    INSERT INTO schedule_feeds (tenant, user_id, label, secret_hash) VALUES ($1, $2, $3, $4) RETURNING {_COLUMNS}
"""
_LIST: Final = f"""
    SELECT {_COLUMNS} FROM schedule_feeds WHERE tenant = $1 AND ($2::uuid IS NULL OR user_id = $2)
    ORDER BY created_at DESC, feed_id
"""
_REVOKE: Final = f"""
    UPDATE schedule_feeds SET revoked_at = coalesce(revoked_at, now()) WHERE tenant = $1 AND feed_id = $2
    RETURNING {_COLUMNS}
"""
_FIND: Final = f"SELECT {_COLUMNS} FROM schedule_feeds WHERE secret_hash = $1"
_READ: Final = """
    UPDATE schedule_feeds SET last_read_at = date_trunc('hour', now()) WHERE tenant = $1 AND feed_id = $2
"""
_ENTRIES: Final = f"SELECT {ENTRY_COLUMNS}, e.created_at, e.updated_at {BOOKED} ORDER BY e.scheduled_start, e.entry_id"
_HOUR: Final = timedelta(hours=1)


class FeedRows:
    """The store of feeds; see `server.core.feeds.FeedStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, tenant: str, user_id: str, label: str, secret_hash: bytes) -> Feed:
        """Stores a new feed."""
        return _feed((await self._rows(_ADD, tenant, user_id, storable(label), secret_hash))[0])

    async def list(self, tenant: str, user_id: str | None) -> Sequence[Feed]:
        """Returns feeds, newest first."""
        return [_feed(row) for row in await self._rows(_LIST, tenant, user_id)]

    async def revoke(self, tenant: str, id: str) -> Feed | None:
        """Revokes a feed; one that is revoked already keeps its time."""
        rows = await self._rows(_REVOKE, tenant, id)
        return _feed(rows[0]) if rows else None

    async def find(self, secret_hash: bytes) -> Feed | None:
        """Returns the feed of an address."""
        async with self._database.system() as connection:
            row = await connection.fetchrow(_FIND, secret_hash)
        return _feed(row) if row is not None else None

    async def note_read(self, feed: Feed) -> None:
        """Notes that a feed was read; once an hour, so that reading often writes little."""
        if feed.last_read_at is None or feed.last_read_at + _HOUR <= datetime.now(UTC):
            await self._rows(_READ, feed.tenant, feed.id)

    async def entries(self, tenant: str, user_id: str, start: datetime, end: datetime) -> Sequence[FeedEntry]:
        """Returns what a user has within a span, by begin."""
        rows = await self._rows(_ENTRIES, tenant, [user_id], start, end)
        return [
            FeedEntry(entry=entry_of(dict(row)), created=row["created_at"], updated=row["updated_at"]) for row in rows
        ]

    async def _rows(self, sql: str, tenant: str, *arguments: Any) -> Sequence[asyncpg.Record]:
        async with self._database.tenant(tenant) as connection:
            rows: Sequence[asyncpg.Record] = await connection.fetch(sql, tenant, *arguments)
            return rows


def _feed(row: asyncpg.Record) -> Feed:
    return Feed(
        id=row["feed_id"],
        tenant=row["tenant"],
        user_id=row["user_id"],
        label=row["label"],
        created_at=row["created_at"],
        last_read_at=row["last_read_at"],
        revoked_at=row["revoked_at"],
    )
