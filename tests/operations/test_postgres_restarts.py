"""PostgreSQL goes away under 32 callers: effects at most 1, every key ends, the server lives on."""

import asyncio
from collections import Counter

import pytest

from server.store.embedded import EmbeddedPostgres
from tests.operations.load import (
    SUCCEEDED,
    UNKNOWN,
    Engine,
    Shake,
    backends,
    connected,
    effects_by_key,
    kill,
    kill_backend,
    restart,
)
from tests.support.served import Caller, Lab, Replicas, set_up

pytestmark = [pytest.mark.anyio, pytest.mark.campaign, pytest.mark.timeout(400)]

CALLERS, SHAKES = 32, 3
ACTIONS = ("post", "run_raw", "post_slowly", "post_keyed")


@pytest.mark.parametrize("shake", [restart, kill, kill_backend], ids=lambda one: one.__name__)
async def test_writes_survive(own_replicas: Replicas, own_postgres: EmbeddedPostgres, lab: Lab, shake: Shake) -> None:
    """Each key has at most one effect and a recorded outcome; whoever was told SUCCEEDED has exactly one effect."""
    replica = await asyncio.to_thread(own_replicas.start)
    caller = Caller(replica.target)
    await set_up(caller, "lab", lab.settings)
    lab.control.add_fault("delay", method="POST", path_regex="^/things", seconds=0.05, times=0)
    over, engines = asyncio.Event(), [Engine(caller, f"e{number}", ACTIONS) for number in range(CALLERS)]
    work = [asyncio.create_task(engine.work(over)) for engine in engines]
    await asyncio.sleep(1.0)
    for _ in range(SHAKES):
        before = await backends(own_postgres)
        await shake(own_postgres)
        await asyncio.sleep(1.0)
        assert before
        assert not before & await backends(own_postgres)  # every connection was lost
    over.set()
    await asyncio.gather(*work)
    ended = {key: told for engine in engines for key, told in engine.ended.items()}
    effects, setbacks = effects_by_key(lab), sum((engine.setbacks for engine in engines), Counter())
    print(f"{shake.__name__}: {len(ended)} keys, {Counter(one.state for one in ended.values())}, setbacks {setbacks}")
    assert max(effects.values()) == 1
    assert set(effects) <= set(ended)
    assert {one.state for one in ended.values()} <= {SUCCEEDED, UNKNOWN}
    assert [key for key, one in ended.items() if one.state == SUCCEEDED and effects[key] != 1] == []
    assert replica.process.poll() is None
    await recorded_as_told(own_postgres, ended)
    await caller.close()


async def recorded_as_told(postgres: EmbeddedPostgres, ended: dict) -> None:
    """Every key has one row with the outcome that the caller was told; a later proof may have settled an UNKNOWN."""
    connection = await connected(postgres)
    found = await connection.fetch("SELECT idempotency_key, status FROM workflow_action_invocations")
    await connection.close()
    rows = {row["idempotency_key"]: row["status"] for row in found}
    assert set(rows) == set(ended)
    assert len(found) == len(rows)
    assert set(rows.values()) <= {"SUCCEEDED", "UNKNOWN"}
    assert [key for key, told in ended.items() if told.state == SUCCEEDED and rows[key] != "SUCCEEDED"] == []
