"""Which tenant a call is for."""

from uuid import uuid4

import pytest

from server.core.caller import Caller
from server.core.refusals import Refusal
from server.core.tenancy import Tenants
from server.store.database import Database
from server.store.tenants import Tenants as TenantRows

pytestmark = pytest.mark.anyio


@pytest.fixture
async def known(database: Database) -> dict[str, str]:
    """Two tenants, ids by slug."""
    rows = TenantRows(database)
    return {slug: (await rows.create(slug)).id for slug in ("acme", "other")}


def caller(*tenants: str, unbound: bool = False) -> Caller:
    """Returns a caller bound to tenants, or to none."""
    return Caller(name="key:test", tenants=None if unbound else frozenset(tenants), permissions=("*",))


async def outcome(database: Database, who: Caller, name: str) -> str:
    """Returns the id that a name resolves to, or the reason of the refusal."""
    try:
        return await Tenants(TenantRows(database)).resolve(who, name)
    except Refusal as refusal:
        return refusal.reason


async def test_ids_and_slugs_name_tenants(database: Database, known: dict[str, str]) -> None:
    """In any spelling of the id; for callers that are bound to the tenant and for unbound ones."""
    acme = known["acme"]
    for who in (caller(acme), caller(acme, known["other"]), caller(unbound=True)):
        for name in ("acme", acme, acme.upper()):
            assert await outcome(database, who, name) == acme


async def test_the_only_tenant_needs_no_name(database: Database, known: dict[str, str]) -> None:
    """With several, or with all, the call must name one; with none there is nothing to name."""
    acme = known["acme"]
    assert await outcome(database, caller(acme), "") == acme
    assert await outcome(database, caller(acme, known["other"]), "") == "TENANT_REQUIRED"
    assert await outcome(database, caller(unbound=True), "") == "TENANT_REQUIRED"
    assert await outcome(database, caller(), "") == "TENANT_FORBIDDEN"


async def test_bound_callers_cannot_find_out_which_tenants_exist(database: Database, known: dict[str, str]) -> None:
    """Another tenant and one that does not exist are refused with the same words, by id and by slug."""
    tenants, told = Tenants(TenantRows(database)), set()
    await tenants.resolve(caller(unbound=True), "other")
    for name in ("other", known["other"], "no-such", str(uuid4()), "not a name at all", "x" * 100):
        with pytest.raises(Refusal) as caught:
            await tenants.resolve(caller(known["acme"]), name)
        told.add((caught.value.reason, caught.value.message))
    assert told == {("TENANT_FORBIDDEN", "The caller may not act for that tenant.")}


async def test_unbound_callers_learn_that_a_tenant_is_unknown(database: Database, known: dict[str, str]) -> None:
    """By id and by slug; it counts as soon as it was created."""
    tenants = Tenants(TenantRows(database))
    for name in ("new", str(uuid4())):
        with pytest.raises(Refusal) as caught:
            await tenants.resolve(caller(unbound=True), name)
        assert caught.value.reason == "TENANT_UNKNOWN"
    made = await TenantRows(database).create("new")
    assert await tenants.resolve(caller(unbound=True), "new") == made.id


async def test_a_token_for_a_tenant_that_was_never_created_says_so(database: Database, known: dict[str, str]) -> None:
    """Its own id is no secret to the caller, so the remedy can be told."""
    missing = str(uuid4())
    assert await outcome(database, caller(missing), "") == "TENANT_UNKNOWN"
    assert await outcome(database, caller(missing), missing) == "TENANT_UNKNOWN"


async def test_known_tenants_are_answered_from_memory(database: Database, known: dict[str, str]) -> None:
    """After the first answer the database is not asked again, and the caller is still checked."""
    tenants = Tenants(TenantRows(database))
    assert await tenants.resolve(caller(unbound=True), "acme") == known["acme"]
    await database.close()
    assert await tenants.resolve(caller(known["acme"]), "acme") == known["acme"]
    with pytest.raises(Refusal):
        await tenants.resolve(caller(known["other"]), "acme")
