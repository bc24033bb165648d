"""Renewals over server processes: one for all, and what a kill in the middle of one leaves behind."""

import asyncio

import grpc
import pytest

from server.store.database import Database
from tests.oauth.conftest import TOKEN_PATH, OAuth, connected, read, succeeded, tokens
from tests.support.served import Caller, Replica, Replicas

pytestmark = [pytest.mark.anyio, pytest.mark.campaign]


async def test_four_processes_renew_once(replicas: Replicas, oauth: OAuth) -> None:
    """50 calls at each of 4 processes when every access token has ended under strict rotation: one request."""
    oauth.control.patch_state(rotation="strict")
    callers = [Caller(replicas.start().target) for _ in range(4)]
    await connected(callers[0], oauth.settings())
    await asyncio.gather(*map(read, callers))
    asked = oauth.asked()
    oauth.control.patch_state(expire=True)
    ended = await asyncio.gather(*(read(caller) for caller in callers for _ in range(50)))
    assert all(map(succeeded, ended))
    assert oauth.asked() == asked + 1
    for caller in callers:
        await caller.close()


async def killed_while_renewing(replica: Replica, oauth: OAuth, database: Database) -> None:
    """Kills a server that is connected when the vendor has rotated and its answer is still on the way."""
    caller = Caller(replica.target)
    await connected(caller, oauth.settings())
    oauth.control.patch_state(expire=True)
    oauth.control.add_fault("hang", path_regex=TOKEN_PATH)
    calling = asyncio.create_task(read(caller))
    while oauth.renewals() == 1:
        await asyncio.sleep(0.02)
    replica.kill()
    with pytest.raises(grpc.aio.AioRpcError):
        await calling
    await caller.close()
    row = (await tokens(database))[0]
    assert (row["generation"], row["refreshing_since"] is None) == (1, False)


@pytest.mark.parametrize("rotation", ["none", "overlap"])
async def test_a_grant_survives_a_kill_between_answer_and_record(
    replicas: Replicas, oauth: OAuth, database: Database, rotation: str
) -> None:
    """The next server takes the lock when the dead one's lease is over, and renews with the token that was kept."""
    oauth.control.patch_state(rotation=rotation)
    await killed_while_renewing(replicas.start(), oauth, database)
    caller = Caller(replicas.start().target)
    ended = await asyncio.gather(*(read(caller) for _ in range(10)))
    assert all(map(succeeded, ended))
    assert oauth.renewals() == 3
    row = (await tokens(database))[0]
    assert (row["generation"], row["refreshing_since"]) == (2, None)
    await caller.close()


async def test_under_strict_rotation_the_failure_says_what_was_lost(
    replicas: Replicas, oauth: OAuth, database: Database
) -> None:
    """The vendor refuses the kept token: the failure tells of the interrupted renewal; connecting again helps."""
    oauth.control.patch_state(rotation="strict")
    await killed_while_renewing(replicas.start(), oauth, database)
    caller = Caller(replicas.start().target)
    failure = (await read(caller)).failure
    assert (failure.reason, failure.remedy.text) == ("CREDENTIALS_EXPIRED", "Connect the tool again.")
    assert "interrupted" in failure.message
    assert (await tokens(database))[0]["refreshing_since"] is not None
    await connected(caller, oauth.settings(refresh_token=oauth.control.state()["refresh"][0]))
    assert succeeded(await read(caller))
    await caller.close()


async def test_a_server_that_stops_stores_the_answer_first(
    replicas: Replicas, oauth: OAuth, database: Database
) -> None:
    """Told to stop while the vendor's answer is late, it waits for it: even strict rotation loses nothing."""
    oauth.control.patch_state(rotation="strict")
    replica = replicas.start(drain_seconds=0.1)
    caller = Caller(replica.target)
    await connected(caller, oauth.settings())
    oauth.control.patch_state(expire=True)
    oauth.control.add_fault("delay", path_regex=TOKEN_PATH, seconds=3)
    calling = asyncio.create_task(read(caller))
    while oauth.asked() == 1:
        await asyncio.sleep(0.02)
    replica.process.terminate()
    await asyncio.wait([calling])
    assert await asyncio.to_thread(replica.process.wait, 30) == 0
    assert calling.exception() is not None or not succeeded(calling.result())
    await caller.close()
    row = (await tokens(database))[0]
    assert (row["generation"], row["refreshing_since"]) == (2, None)
