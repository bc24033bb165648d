"""Users of the directory, and what stores them and the work items."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from server.sdk.schedule import WorkItem

Place = Sequence[str]
"""Where a page begins: after the row with these texts, in the order of the list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedAccount:
    """A user's account at an identity provider. `email`: None when it is not known."""

    provider: str
    account_id: str
    email: str | None
    linked_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryUser:
    """A user.

    Attributes:
        id: Id (UUID) in canonical form.
        username: Login name, unique within the tenant.
        email: E-mail address. None: none.
        first_name, last_name: None: none.
        user_type: `internal` or `client`.
        roles: Names of roles, by name in any case.
        timezone: IANA name. None: UTC.
        is_active: Whether the user can be booked.
        accounts: Linked accounts, by provider.
        calendar_connected: Whether schedule entries are written into the user's Microsoft 365 calendar.
    """

    id: str
    username: str
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    user_type: str = "internal"
    roles: Sequence[str] = ()
    timezone: str | None = None
    is_active: bool = True
    accounts: Sequence[LinkedAccount] = ()
    calendar_connected: bool = False

    @property
    def name(self) -> str:
        """Name for people; the login name where there is no other."""
        parts = [part for part in (self.first_name, self.last_name) if part is not None]
        return " ".join(parts).strip(" ") or self.username


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Which rows of a list are wanted. `after`: None for the first page; `query`: text that they contain, or empty."""

    query: str = ""
    after: Place | None = None
    limit: int = 100


KnownUsers = Sequence[DirectoryUser]
KnownItems = Sequence[WorkItem]


class DirectoryStore(Protocol):
    """Where the directory is stored; see server/store/directory.py."""

    async def change_users(
        self,
        tenant: str,
        ids: Collection[str],
        usernames: Collection[str],
        decide: Callable[[KnownUsers], Sequence[DirectoryUser]],
        *,
        write: bool,
    ) -> tuple[Sequence[DirectoryUser], int]:
        """Stores users, all or none, while nobody else changes the tenant's directory.

        Args:
            tenant: Id of the tenant.
            ids: Whose present rows `decide` needs.
            usernames: Whose holders it needs, too.
            decide: Returns the users to store, with the present ones given; what it raises leaves all as it is.
            write: False: only decide.

        Returns:
            What was decided, and how many of them are new.
        """

    async def user(self, tenant: str, id: str) -> DirectoryUser | None:
        """Returns a user."""

    async def users(self, tenant: str, page: Page, *, technicians_only: bool) -> Sequence[DirectoryUser]:
        """Returns users by name in small letters, then id. The place of a page: name and id of a user."""

    async def deactivate(self, tenant: str, id: str) -> Mapping[str, int] | None:
        """Makes a user inactive; returns how many entries still to come they have by status. None: no such user."""

    async def set_calendar(self, tenant: str, id: str, *, connected: bool, calendar_id: str | None) -> None:
        """Connects or disconnects the Microsoft 365 calendar of a user who exists."""

    async def change_work_items(
        self,
        tenant: str,
        items: Sequence[WorkItem],
        decide: Callable[[KnownItems], None],
        *,
        write: bool,
    ) -> int:
        """Stores work items, all or none, while nobody else changes the tenant's directory.

        Args:
            tenant: Id of the tenant.
            items: What is to be stored.
            decide: Raises when it cannot be, with the present ones of the same ids and numbers given.
            write: False: only decide.

        Returns:
            How many of them are new.
        """

    async def work_items(self, tenant: str, page: Page) -> Sequence[WorkItem]:
        """Returns work items by kind, title in small letters, then id. The place of a page: these three of an item."""
