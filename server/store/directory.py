"""The directory: tables `users`, `roles`, `user_roles`, `tickets`, `project_tasks`, `calendar_providers`."""

from collections.abc import Callable, Collection, Mapping, Sequence

from server.core.directory_records import DirectoryUser, KnownItems, KnownUsers, Page
from server.sdk.schedule import WorkItem
from server.store import directory_rows as rows
from server.store.database import Connection, Database
from server.store.outbox import tell_again


class DirectoryRows:
    """The store of the directory; see `server.core.directory_records.DirectoryStore`.

    Args:
        database: Where.
        consumers: Providers whose connections are told of events.
    """

    def __init__(self, database: Database, consumers: Collection[str] = ()) -> None:
        self._database = database
        self._consumers = consumers

    async def change_users(
        self,
        tenant: str,
        ids: Collection[str],
        usernames: Collection[str],
        decide: Callable[[KnownUsers], Sequence[DirectoryUser]],
        *,
        write: bool,
    ) -> tuple[Sequence[DirectoryUser], int]:
        """Stores users, all or none."""
        async with self._database.tenant(tenant) as connection, connection.transaction():
            await connection.execute(rows.LOCK_DIRECTORY, tenant)
            await connection.execute(rows.LOCK_USERS, tenant, list(ids))
            wanted = f"{rows.USERS} AND (u.user_id = ANY ($2::uuid[]) OR u.username = ANY ($3::text[]))"
            known = [rows.user_of(row) for row in await connection.fetch(wanted, tenant, list(ids), list(usernames))]
            users = decide(known)
            if write:
                await _put_users(connection, tenant, users)
            return users, len(users) - len({user.id for user in known}.intersection(ids))

    async def user(self, tenant: str, id: str) -> DirectoryUser | None:
        """Returns a user."""
        async with self._database.tenant(tenant) as connection:
            row = await connection.fetchrow(f"{rows.USERS} AND u.user_id = $2", tenant, id)
        return rows.user_of(row) if row else None

    async def users(self, tenant: str, page: Page, *, technicians_only: bool) -> Sequence[DirectoryUser]:
        """Returns users by name in small letters, then id."""
        name, id = page.after or (None, None)
        async with self._database.tenant(tenant) as connection:
            found = await connection.fetch(rows.LISTED, tenant, page.query, name, id, technicians_only, page.limit)
        return [rows.user_of(row) for row in found]

    async def deactivate(self, tenant: str, id: str) -> Mapping[str, int] | None:
        """Makes a user inactive; returns how many entries still to come they have by status."""
        async with self._database.tenant(tenant) as connection, connection.transaction():
            if await connection.fetchval(rows.DEACTIVATE, tenant, id) is None:
                return None
            return {row["status"]: row["entries"] for row in await connection.fetch(rows.UPCOMING, tenant, id)}

    async def set_calendar(self, tenant: str, id: str, *, connected: bool, calendar_id: str | None) -> None:
        """Connects or disconnects a calendar; who is told of events is told the user's entries to come."""
        async with self._database.tenant(tenant) as connection, connection.transaction():
            await connection.execute(rows.SET_CALENDAR, tenant, id, connected, calendar_id)
            await tell_again(connection, tenant, self._consumers, id)

    async def change_work_items(
        self, tenant: str, items: Sequence[WorkItem], decide: Callable[[KnownItems], None], *, write: bool
    ) -> int:
        """Stores work items, all or none."""
        ids, numbers = [item.id for item in items], [item.number for item in items if item.number]
        async with self._database.tenant(tenant) as connection, connection.transaction():
            await connection.execute(rows.LOCK_DIRECTORY, tenant)
            known = [rows.item_of(row) for row in await connection.fetch(rows.ITEMS_KNOWN, tenant, ids, numbers)]
            decide(known)
            for kind, sql in rows.PUT_ITEMS.items() if write else ():
                chosen = [item for item in items if item.kind == kind]
                await connection.execute(sql, tenant, *rows.item_columns_of(chosen))
            return len(items) - len({item.key for item in known} & {item.key for item in items})

    async def work_items(self, tenant: str, page: Page) -> Sequence[WorkItem]:
        """Returns work items by kind, title in small letters, then id."""
        kind, title, id = page.after or (None, None, None)
        async with self._database.tenant(tenant) as connection:
            found = await connection.fetch(rows.ITEMS_LISTED, tenant, page.query, kind, title, id, page.limit, "", True)
        return [rows.item_of(row) for row in found]


async def _put_users(connection: Connection, tenant: str, users: Sequence[DirectoryUser]) -> None:
    await connection.execute(rows.PUT_USERS, tenant, *rows.columns_of(users))
    given = [(user.id, role) for user in users for role in user.roles]
    ids, roles = [id for id, _ in given], [role for _, role in given]
    await connection.execute(rows.PUT_ROLES, tenant, roles)
    await connection.execute(rows.REPLACE_ROLES, tenant, [user.id for user in users], ids, roles)
