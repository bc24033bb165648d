"""The directory: technicians, and what they work on. Callers have the permission already."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, NoReturn

from server.core.directory_checks import (
    UserChange,
    check_changes,
    check_numbers,
    check_work_items,
    decided_users,
    refuse,
)
from server.core.directory_records import DirectoryStore, DirectoryUser, Page
from server.core.refusals import FieldViolation, Refusal
from server.sdk.accounts import MICROSOFT, Account, AccountBook, AccountIdInvalid
from server.sdk.schedule import WorkItem, is_ended

PERMISSION: Final = "directory"


class Directory:
    """Use cases of the Directory service.

    Args:
        store: Where users and work items are stored.
        accounts: Opens the linked accounts of a tenant.
    """

    def __init__(self, store: DirectoryStore, accounts: Callable[[str], AccountBook]) -> None:
        self._store = store
        self._accounts = accounts

    async def upsert_users(
        self, tenant: str, changes: Sequence[UserChange], *, validate_only: bool = False
    ) -> tuple[Sequence[DirectoryUser], int]:
        """Creates or changes users, all or none.

        Returns:
            The users in the order of the changes, and how many of them are new.

        Raises:
            Refusal: INPUT_INVALID, with all fields at fault.
        """
        check_changes(changes)
        return await self._store.change_users(
            tenant,
            [one.id for one in changes],
            [one.wanted_username for one in changes],
            partial(decided_users, changes),
            write=not validate_only,
        )

    async def users(self, tenant: str, page: Page, *, technicians_only: bool = False) -> Sequence[DirectoryUser]:
        """Returns users by name."""
        return await self._store.users(tenant, page, technicians_only=technicians_only)

    async def deactivate(self, tenant: str, id: str) -> tuple[DirectoryUser, int]:
        """Makes a user inactive; returns them, and how many entries that are still to come they are booked for.

        Raises:
            Refusal: USER_UNKNOWN.
        """
        upcoming = await self._store.deactivate(tenant, id)
        if upcoming is None:
            _unknown(id)
        return await self.user(tenant, id), sum(n for status, n in upcoming.items() if not is_ended(status))

    async def link(self, tenant: str, id: str, provider: str, account_id: str, email: str | None) -> DirectoryUser:
        """Links a user to an account, in place of the one at the provider that was linked before.

        Raises:
            Refusal: USER_UNKNOWN, or INPUT_INVALID for an account id that is none of the provider's.
        """
        user = await self.user(tenant, id)
        account = Account(user_id=id, account_id=account_id, email=email, name=user.name)
        try:
            await self._accounts(tenant).link(provider, account)
        except AccountIdInvalid as invalid:
            refuse([FieldViolation("account_id", str(invalid), "account_id")])
        return await self.user(tenant, id)

    async def set_calendar(self, tenant: str, id: str, *, connected: bool, calendar_id: str | None) -> DirectoryUser:
        """Connects or disconnects a user's Microsoft 365 calendar.

        Raises:
            Refusal: USER_UNKNOWN; ACCOUNT_NOT_LINKED, a calendar cannot be connected without the account it is of.
        """
        user = await self.user(tenant, id)
        if connected and all(account.provider != MICROSOFT for account in user.accounts):
            raise Refusal("ACCOUNT_NOT_LINKED", f"User {id} has no linked `{MICROSOFT}` account.")
        await self._store.set_calendar(tenant, id, connected=connected, calendar_id=calendar_id)
        return replace(user, calendar_connected=connected)

    async def user(self, tenant: str, id: str) -> DirectoryUser:
        """Returns a user; raises Refusal USER_UNKNOWN."""
        user = await self._store.user(tenant, id)
        if user is None:
            _unknown(id)
        return user

    async def upsert_work_items(
        self, tenant: str, items: Sequence[WorkItem], *, validate_only: bool = False
    ) -> tuple[int, int]:
        """Creates or changes tickets and project tasks, all or none; returns how many are new, how many were there.

        Raises:
            Refusal: INPUT_INVALID, with all fields at fault.
        """
        check_work_items(items)
        created = await self._store.change_work_items(
            tenant, items, partial(check_numbers, items), write=not validate_only
        )
        return created, len(items) - created

    async def work_items(self, tenant: str, page: Page) -> Sequence[WorkItem]:
        """Returns work items by kind and title."""
        return await self._store.work_items(tenant, page)


def _unknown(id: str) -> NoReturn:
    raise Refusal("USER_UNKNOWN", f"The tenant's directory has no user {id}.")
