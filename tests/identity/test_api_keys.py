"""API keys: what they open, when they stop, what is kept of them."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from server.core.api_keys import ApiKey, split_token
from server.core.identity import NOTIFY_CHANNEL, Authenticator
from server.core.refusals import Refusal
from server.store.api_keys import ApiKeyRows
from server.store.database import Database
from server.store.listen import Listener
from tests.identity.conftest import MakeKey
from tests.support.postgres import Fresh

pytestmark = pytest.mark.anyio

PEER = "ipv4:192.0.2.7:4711"
TENANT = "0b9ed1a4-6f4f-4c0e-9f0a-3d4c5b6a7980"


def bearer(token: str) -> dict[str, str]:
    """Returns the metadata of a call with a key."""
    return {"authorization": f"Bearer {token}"}


async def refused(authenticator: Authenticator, metadata: dict[str, str]) -> Refusal:
    """Returns the refusal of a call."""
    with pytest.raises(Refusal) as caught:
        await authenticator.authenticate(metadata, PEER)
    return caught.value


async def test_a_key_makes_its_caller(keys: ApiKeyRows, make_key: MakeKey) -> None:
    """Name, tenants and permissions are the key's, the peer is the call's; the scheme's case does not matter."""
    key, token = await make_key(frozenset({TENANT}), ("catalog", "tacticalrmm.agents.*"))
    caller = await Authenticator(keys).authenticate({"authorization": f"bEARER  {token}"}, PEER)
    assert caller.name == f"key:{key.id}"
    assert caller.tenants == frozenset({TENANT})
    assert caller.permissions == ("catalog", "tacticalrmm.agents.*")
    assert caller.peer == PEER


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic cGI6cGI=", "pb_aaaaaaaaaaaa_00", "Bearer pb_", "Bearer pb_x_y", "Bearer nonsense"],
)
async def test_what_is_no_key_is_refused(keys: ApiKeyRows, header: str) -> None:
    """Credentials that are presented are never ignored: malformed ones refuse the call."""
    assert (await refused(Authenticator(keys), {"authorization": header})).reason == "CREDENTIALS_INVALID"


async def test_unknown_and_wrong_keys_are_refused_alike(keys: ApiKeyRows, make_key: MakeKey) -> None:
    """The answer does not tell whether the id exists, even when the key has ended or was revoked."""
    now = datetime.now(UTC)
    _, good = await make_key()
    _, ended = await make_key(expires_at=now - timedelta(days=1))
    revoked, gone = await make_key()
    await keys.revoke(revoked.id)
    wrong = [token[:-64] + "0" * 64 for token in (good, ended, gone)]
    told = {
        (refusal.reason, refusal.message)
        for token in (*wrong, f"pb_aaaaaaaaaaaa_{'0' * 64}")
        for refusal in [await refused(Authenticator(keys), bearer(token))]
    }
    assert told == {("CREDENTIALS_INVALID", "The key or token is not known.")}


async def test_revoked_keys_are_refused_as_such(keys: ApiKeyRows, make_key: MakeKey) -> None:
    """Who has the whole key learns that it was revoked, and revoking twice keeps the first time."""
    key, token = await make_key()
    first, second = await keys.revoke(key.id), await keys.revoke(key.id)
    assert first is not None
    assert first == second
    assert (await refused(Authenticator(keys), bearer(token))).reason == "CREDENTIALS_REVOKED"


async def test_a_key_ends_by_the_clock_although_it_is_in_memory(keys: ApiKeyRows, make_key: MakeKey) -> None:
    """The end is looked at on every call; no notification is needed."""
    now = [datetime.now(UTC)]
    _, token = await make_key(expires_at=now[0] + timedelta(hours=1))
    authenticator = Authenticator(keys, clock=lambda: now[0])
    assert await authenticator.authenticate(bearer(token), PEER)
    now[0] += timedelta(hours=1)
    assert (await refused(authenticator, bearer(token))).reason == "CREDENTIALS_EXPIRED"


async def test_a_wrong_secret_is_refused_after_the_right_one(keys: ApiKeyRows, make_key: MakeKey) -> None:
    """What was verified is the whole key: another secret of the same key, from the same address, opens nothing."""
    _, token = await make_key()
    authenticator = Authenticator(keys)
    first = await authenticator.authenticate(bearer(token), PEER)
    assert (await refused(authenticator, bearer(token[:-64] + "0" * 64))).reason == "CREDENTIALS_INVALID"
    assert await authenticator.authenticate(bearer(token), PEER) == first
    assert (await authenticator.authenticate(bearer(token), "ipv4:192.0.2.8:1")).peer == "ipv4:192.0.2.8:1"


async def test_a_key_that_is_forgotten_is_looked_up_again(keys: ApiKeyRows, make_key: MakeKey) -> None:
    """A key that was verified a moment ago stops with the news that it was revoked."""
    key, token = await make_key()
    authenticator = Authenticator(keys)
    for _ in range(2):
        assert await authenticator.authenticate(bearer(token), PEER)
    await keys.revoke(key.id)
    authenticator.forget(key.id)
    assert (await refused(authenticator, bearer(token))).reason == "CREDENTIALS_REVOKED"


class CountingKeys(ApiKeyRows):
    """The store, counting its look-ups; `gate` holds them back after they have read."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.lookups = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.reading = asyncio.Event()

    async def find(self, key_id: str) -> ApiKey | None:
        """Counts, reads, waits."""
        self.lookups += 1
        found = await super().find(key_id)
        self.reading.set()
        await self.gate.wait()
        return found


async def test_a_verified_key_is_not_looked_up_again(database: Database, make_key: MakeKey) -> None:
    """A hundred calls at once and fifty afterwards cost at most as many look-ups as run side by side."""
    _, token = await make_key()
    counting = CountingKeys(database)
    authenticator = Authenticator(counting)
    await asyncio.gather(*(authenticator.authenticate(bearer(token), PEER) for _ in range(100)))
    for _ in range(50):
        await authenticator.authenticate(bearer(token), PEER)
    assert counting.lookups <= 4


async def test_revoking_reaches_another_replica_by_notification(
    fresh: Fresh, keys: ApiKeyRows, make_key: MakeKey
) -> None:
    """A replica that has the key in memory refuses it once it was told."""
    key, token = await make_key()
    authenticator, told = Authenticator(keys), asyncio.Event()

    def news(key_id: str) -> None:
        authenticator.forget(key_id)
        if key_id == key.id:
            told.set()

    listener = Listener(fresh.app_dsn)
    listener.on(NOTIFY_CHANNEL, news, authenticator.forget_all)
    async with listener:
        assert await authenticator.authenticate(bearer(token), PEER)
        await keys.revoke(key.id)
        await asyncio.wait_for(told.wait(), 20)
        assert (await refused(authenticator, bearer(token))).reason == "CREDENTIALS_REVOKED"


async def test_a_look_up_that_began_before_revoking_is_not_kept(
    database: Database, keys: ApiKeyRows, make_key: MakeKey
) -> None:
    """The answer read before the notification serves its own call and no later one."""
    key, token = await make_key()
    slow = CountingKeys(database)
    slow.gate.clear()
    authenticator = Authenticator(slow)
    call = asyncio.create_task(authenticator.authenticate(bearer(token), PEER))
    await slow.reading.wait()
    await keys.revoke(key.id)
    authenticator.forget(key.id)
    slow.gate.set()
    await call
    assert (await refused(authenticator, bearer(token))).reason == "CREDENTIALS_REVOKED"


async def test_the_secret_is_not_stored(database: Database, make_key: MakeKey) -> None:
    """No column of the row holds the secret part in any spelling."""
    _, token = await make_key()
    parts = split_token(token)
    assert parts is not None
    async with database.system() as connection:
        row = await connection.fetchrow("SELECT api_keys::text AS all FROM api_keys")
    assert row is not None
    assert parts[0] in row["all"]
    assert parts[1] not in row["all"]


async def test_tenants_cannot_see_or_make_keys(database: Database, make_key: MakeKey) -> None:
    """Row-level security shows keys to the server's own scope only, whatever a statement says."""
    key, _ = await make_key(frozenset({TENANT}))
    async with database.tenant(TENANT) as connection:
        assert await connection.fetch("SELECT * FROM api_keys") == []
        assert await connection.execute("UPDATE api_keys SET permissions = '{*}'") == "UPDATE 0"
        with pytest.raises(Exception, match="row-level security"):
            await connection.execute(
                "INSERT INTO api_keys (key_id, secret_hash, label, permissions, created_by) "
                "VALUES ('aaaaaaaaaaaa', sha256('x'), 'evil', '{*}', 'evil')"
            )
        with pytest.raises(Exception, match="permission denied"):
            await connection.execute("DELETE FROM api_keys WHERE key_id = $1", key.id)
