"""Calendar feeds: whoever knows a feed's address reads the entries of its technician, until it is revoked."""

import hashlib
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import version
from typing import Final, Protocol

from server.core.api_keys import hash_secret
from server.core.feed_file import FeedEntry, feed_file
from server.core.ports import OpenBoard
from server.core.refusals import FieldViolation, Refusal
from server.sdk.schedule import User

PATH: Final = "/feeds/{secret}.ics"
"""Of a feed, on the HTTP port."""

_BACK, _AHEAD = timedelta(days=90), timedelta(days=400)
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """A feed's facts, without its address.

    Attributes:
        id, tenant, user_id: UUIDs of the feed, its tenant, its technician.
        label: What it is for. Empty: not said.
        created_at: When it was created.
        last_read_at: When it was last read, to the hour. None: never.
        revoked_at: When it was revoked. None: it was not.
    """

    id: str
    tenant: str
    user_id: str
    label: str
    created_at: datetime
    last_read_at: datetime | None = None
    revoked_at: datetime | None = None


class FeedStore(Protocol):
    """Where feeds are stored; see server/store/feeds.py."""

    async def add(self, tenant: str, user_id: str, label: str, secret_hash: bytes) -> Feed:
        """Stores a new feed."""

    async def list(self, tenant: str, user_id: str | None) -> Sequence[Feed]:
        """Returns feeds, newest first: a technician's or all."""

    async def revoke(self, tenant: str, id: str) -> Feed | None:
        """Revokes a feed once; returns it, or None when there is none."""

    async def find(self, secret_hash: bytes) -> Feed | None:
        """Returns the feed of an address, of any tenant, revoked ones too."""

    async def note_read(self, feed: Feed) -> None:
        """Notes that a feed was read, to the hour."""

    async def entries(self, tenant: str, user_id: str, start: datetime, end: datetime) -> Sequence[FeedEntry]:
        """Returns what a user has within a span, in any status, and series that touch it."""


@dataclass(frozen=True, slots=True)
class FeedFile:
    """A feed's file. `etag` changes with what it says; `render` makes the file, which takes a while."""

    etag: str
    render: Callable[[], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedReading:
    """What became of reading a feed that exists.

    Attributes:
        feed: The feed.
        file: Its file. None: it is not shown.
        reason: Why it is not: `FEED_REVOKED` or `USER_INACTIVE`. Empty: it is.
    """

    feed: Feed
    file: FeedFile | None = None
    reason: str = ""


class Feeds:
    """Feeds of tenants.

    Args:
        store: Where they are stored.
        open_board: Opens boards, for their users.
    """

    def __init__(self, store: FeedStore, open_board: OpenBoard) -> None:
        self._store = store
        self._open = open_board

    async def create(self, tenant: str, user_id: str, label: str) -> tuple[Feed, str]:
        """Creates a feed and returns it with its path, which is not stored anywhere.

        Raises:
            Refusal: INPUT_INVALID when the technician is unknown or inactive.
        """
        user = await self._user(tenant, user_id.lower())
        if user is None or not user.is_active:
            told = "names no user of the tenant" if user is None else "names a user who is inactive"
            violation = FieldViolation("user_id", told)
            raise Refusal("INPUT_INVALID", f"user_id: {told}", violations=[violation])
        secret = secrets.token_urlsafe(32)
        feed = await self._store.add(tenant, user.id, label, hash_secret(secret))
        return feed, PATH.format(secret=secret)

    async def list(self, tenant: str, user_id: str) -> Sequence[Feed]:
        """Returns feeds, newest first: a technician's, or everybody's when none is named."""
        return await self._store.list(tenant, user_id.lower() or None)

    async def revoke(self, tenant: str, id: str) -> Feed:
        """Revokes a feed; again is harmless. Raises Refusal FEED_UNKNOWN."""
        feed = await self._store.revoke(tenant, id)
        if feed is None:
            raise Refusal("FEED_UNKNOWN", "There is no such calendar feed.")
        return feed

    async def read(self, secret: str) -> FeedReading | None:
        """Reads the feed at an address; None when there never was one."""
        if not _SECRET.fullmatch(secret):
            return None
        feed = await self._store.find(hash_secret(secret))
        if feed is None:
            return None
        if feed.revoked_at is not None:
            return FeedReading(feed=feed, reason="FEED_REVOKED")
        user = await self._user(feed.tenant, feed.user_id)
        if user is None or not user.is_active:
            return FeedReading(feed=feed, reason="USER_INACTIVE")
        await self._store.note_read(feed)
        now = datetime.now(UTC)
        entries = await self._store.entries(feed.tenant, feed.user_id, now - _BACK, now + _AHEAD)
        render = partial(feed_file, user.name, entries, viewer=user.id, until=now + _AHEAD)
        return FeedReading(feed=feed, file=FeedFile(_etag(user, entries), render))

    async def _user(self, tenant: str, id: str) -> User | None:
        return (await self._open(tenant).users([id])).get(id)


def _etag(user: User, entries: Sequence[FeedEntry]) -> str:
    """Every change of an entry has a number of its own; a new release may write the same differently."""
    told = [version("patchbay"), user.id, user.name]
    told += sorted(f"{one.entry.id} {one.entry.sequence} {one.updated.isoformat()}" for one in entries)
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:32]
