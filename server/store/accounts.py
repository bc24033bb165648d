"""Linked accounts: table `user_auth_accounts`."""

import json
from collections.abc import Sequence
from typing import Any, Final

import asyncpg

from server.sdk.accounts import Account, account_id_of
from server.store.database import Database
from server.store.text import storable, storable_json

OF_USER_U: Final = """
    SELECT jsonb_agg(jsonb_build_object('provider', a.provider, 'account_id', a.provider_account_id,
        'email', a.provider_email, 'linked_at', a.linked_at) ORDER BY a.provider)
    FROM user_auth_accounts a WHERE a.tenant = u.tenant AND a.user_id = u.user_id::text
"""
"""All accounts of the row `u` of `users`, as JSON; NULL when there are none."""

_COLUMNS: Final = "user_id, provider_account_id, provider_email, metadata"
_OF_USER: Final = f"""
    SELECT {_COLUMNS} FROM user_auth_accounts WHERE tenant = $1 AND provider = $2 AND user_id = $3
"""
_LISTED: Final = f"""
    SELECT {_COLUMNS} FROM user_auth_accounts
    WHERE tenant = $1 AND provider = $2
        AND strpos(lower(concat_ws(' ', user_id, metadata ->> 'name', provider_email)), lower($3)) > 0
    ORDER BY lower(metadata ->> 'name'), user_id LIMIT $4
"""
_LINK: Final = """
    INSERT INTO user_auth_accounts (tenant, provider, user_id, provider_account_id, provider_email, metadata)
    VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (tenant, user_id, provider) DO UPDATE SET
        provider_account_id = excluded.provider_account_id, provider_email = excluded.provider_email,
        metadata = excluded.metadata, linked_at = now()
"""


class Accounts:
    """The accounts of one tenant; see `server.sdk.accounts.AccountBook`."""

    def __init__(self, database: Database, tenant: str) -> None:
        self._database = database
        self._tenant = tenant

    async def of_user(self, provider: str, user_id: str) -> Account | None:
        """Returns a user's account; None when none is linked."""
        rows = await self._rows(_OF_USER, provider, storable(user_id))
        return _account(rows[0]) if rows else None

    async def listed(self, provider: str, *, query: str = "", limit: int) -> Sequence[Account]:
        """Returns accounts by name."""
        return [_account(row) for row in await self._rows(_LISTED, provider, storable(query), limit)]

    async def link(self, provider: str, account: Account) -> None:
        """Links a user to an account."""
        account_id = account_id_of(provider, storable(account.account_id))
        names = json.dumps(storable_json({"name": account.name} if account.name else {}))
        email = None if account.email is None else storable(account.email)
        await self._rows(_LINK, provider, storable(account.user_id), account_id, email, names)

    async def _rows(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        async with self._database.tenant(self._tenant) as connection:
            return list(await connection.fetch(sql, self._tenant, *arguments))


def _account(row: asyncpg.Record) -> Account:
    return Account(
        user_id=row["user_id"],
        account_id=row["provider_account_id"],
        email=row["provider_email"],
        name=json.loads(row["metadata"]).get("name"),
    )
