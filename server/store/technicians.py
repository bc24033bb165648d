"""Who is on the board: tables `users`, `user_roles` and `roles`."""

from collections.abc import Sequence
from typing import Final

from server.sdk.schedule import User
from server.store.database import Database
from server.store.directory_rows import CAN_BE_BOOKED
from server.store.schedule import USERS, user_of

_ACTIVE: Final = f"{USERS} WHERE u.tenant = $1 AND {CAN_BE_BOOKED}"


class Technicians:
    """The technicians of tenants; see `server.core.board.Technicians`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def active(self, tenant: str) -> Sequence[User]:
        """Returns the tenant's own people who are active and hold the role of a technician."""
        async with self._database.tenant(tenant) as connection:
            return [user_of(dict(row)) for row in await connection.fetch(_ACTIVE, tenant)]
