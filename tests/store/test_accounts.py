"""Linked accounts: one per user and provider, never across tenants."""

from dataclasses import replace
from uuid import uuid4

import pytest

from server.sdk.accounts import Account
from server.store.accounts import Accounts
from server.store.database import Database
from server.store.tenants import Tenants

pytestmark = pytest.mark.anyio

DANA = Account(user_id="u-17", account_id="7d9f3b54-3333-4444-8555-666677778888", email="dana@msp.test", name="Dana")
ALEX = Account(user_id="u-2", account_id="8e0a4c65-3333-4444-8555-666677778888", name="alex")


@pytest.fixture
async def book(database: Database) -> Accounts:
    """The accounts of a tenant."""
    return Accounts(database, (await Tenants(database).create(f"t-{uuid4().hex}")).id)


async def test_a_link_comes_back_as_it_was_made(book: Accounts) -> None:
    """Every attribute survives; another provider and another user have none."""
    await book.link("microsoft", DANA)
    assert await book.of_user("microsoft", "u-17") == DANA
    assert await book.of_user("google", "u-17") is None
    assert await book.of_user("microsoft", "u-1") is None


async def test_a_later_link_takes_the_place_of_the_first(book: Accounts) -> None:
    """A user has one account at a provider."""
    await book.link("microsoft", DANA)
    moved = replace(DANA, account_id=ALEX.account_id, email=None)
    await book.link("microsoft", moved)
    assert await book.listed("microsoft", limit=10) == [moved]


async def test_accounts_are_found_by_what_people_type(book: Accounts) -> None:
    """Name, address and our id are searched in any case; a wildcard is a character like any other."""
    for one in (DANA, ALEX):
        await book.link("microsoft", one)
    found = {text: await book.listed("microsoft", query=text, limit=10) for text in ("DANA@", "Alex", "U-2", "%", "")}
    assert found == {"DANA@": [DANA], "Alex": [ALEX], "U-2": [ALEX], "%": [], "": [ALEX, DANA]}
    assert len(await book.listed("microsoft", limit=1)) == 1


async def test_tenants_do_not_see_each_other(book: Accounts, database: Database) -> None:
    """The same user of another tenant has no account."""
    await book.link("microsoft", DANA)
    other = Accounts(database, (await Tenants(database).create(f"t-{uuid4().hex}")).id)
    assert await other.of_user("microsoft", "u-17") is None
    assert await other.listed("microsoft", limit=10) == []
