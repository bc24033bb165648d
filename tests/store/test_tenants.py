"""Tenants by id and by slug."""

from uuid import uuid4

import pytest

from server.core.refusals import Refusal
from server.store.database import Database
from server.store.tenants import TenantExists, Tenants

pytestmark = pytest.mark.anyio


async def test_creating_twice_is_one_tenant(database: Database) -> None:
    """The same slug, with or without its id, returns the same tenant."""
    tenants = Tenants(database)
    first = await tenants.create("acme")
    assert await tenants.create("acme") == first
    assert await tenants.create("acme", first.id.upper()) == first
    assert await tenants.list() == [first]


async def test_an_id_and_a_slug_belong_together(database: Database) -> None:
    """A known slug with another id, and a known id with another slug, are refused."""
    tenants = Tenants(database)
    known = await tenants.create("acme", str(uuid4()))
    with pytest.raises(TenantExists, match="slug"):
        await tenants.create("acme", str(uuid4()))
    with pytest.raises(TenantExists, match="id"):
        await tenants.create("other", known.id)
    assert [tenant.slug for tenant in await tenants.list()] == ["acme"]


async def test_tenants_are_found_by_both_names(database: Database) -> None:
    """Ids in any case and slugs resolve; anything else is None, hostile text included."""
    tenants = Tenants(database)
    acme = await tenants.create("acme")
    assert await tenants.resolve(acme.id.upper()) == acme
    assert await tenants.resolve("acme") == acme
    for name in ("", "ACME", str(uuid4()), "x" * 36, "' OR true --"):
        assert await tenants.resolve(name) is None


async def test_lists_are_by_slug_and_can_be_limited(database: Database) -> None:
    """`list(ids)` returns only those; an empty set is nobody, None is everybody."""
    tenants = Tenants(database)
    beta, alpha = await tenants.create("beta"), await tenants.create("alpha")
    assert await tenants.list() == [alpha, beta]
    assert await tenants.list({beta.id, str(uuid4())}) == [beta]
    assert await tenants.list(()) == []


@pytest.mark.parametrize("slug", ["", "A", "-a", "a-", "a b", "a" * 64, "6f9619ff-8b86-4011-b42d-00c04fc964ff"])
async def test_malformed_slugs_are_refused(database: Database, slug: str) -> None:
    """Slugs are short names in lower case and never look like an id."""
    with pytest.raises(Refusal) as caught:
        await Tenants(database).create(slug)
    assert caught.value.reason == "INPUT_INVALID"
    assert [violation.field for violation in caught.value.violations] == ["slug"]
