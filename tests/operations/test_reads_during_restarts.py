"""PostgreSQL goes away under readers and watchers: answers resume, streams live on, the audit is complete."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from server.gen.patchbay.v1 import catalog_pb2, connections_pb2, executor_pb2
from server.store.embedded import EmbeddedPostgres
from tests.operations.load import PASSING, SUCCEEDED, Shake, connected, kill, kill_backend, outage, restart
from tests.support.served import TENANT, Caller, Lab, Replicas, set_up

pytestmark = [pytest.mark.anyio, pytest.mark.campaign, pytest.mark.timeout(400)]

READERS, CATALOGS, WATCHERS, SHAKES = 16, 4, 6, 2
LAB = "app:lab"


@dataclass
class Readers:
    """What readers were told: the answers by the actor of each call, and the statuses of calls that failed."""

    caller: Caller
    over: asyncio.Event
    answers: dict[str, executor_pb2.Execution] = field(default_factory=dict)
    failed: dict[str, grpc.StatusCode] = field(default_factory=dict)
    catalogs: Counter[str] = field(default_factory=Counter)

    async def read(self, name: str) -> None:
        """Reads again and again, each call with an actor of its own."""
        number = 0
        while not self.over.is_set() and number < 500:
            actor, number = f"{name}-{number}", number + 1
            try:
                self.answers[actor] = await self.caller.execute("lab.things.read", {"name": "a"}, actor=actor)
            except grpc.RpcError as error:
                self.failed[actor] = error.code()
                await asyncio.sleep(0.1)

    async def look(self) -> None:
        """Asks for the catalog again and again."""
        while not self.over.is_set():
            try:
                answer = await self.caller("Catalog/GetCatalog", catalog_pb2.GetCatalogRequest(tenant=TENANT))
            except grpc.RpcError as error:
                assert error.code() in PASSING  # noqa: PT017 - any other status ends the test
                self.catalogs["away"] += 1
                await asyncio.sleep(0.1)
            else:
                found = {group.group_key: group.availability.reason for group in answer.groups}
                self.catalogs[found[LAB]] += 1


def watch(caller: Caller) -> Any:
    """Opens a watch."""
    stub = caller.channel.unary_stream(
        "/patchbay.v1.Catalog/WatchCatalog",
        catalog_pb2.WatchCatalogRequest.SerializeToString,
        catalog_pb2.WatchCatalogResponse.FromString,
    )
    return stub(catalog_pb2.WatchCatalogRequest(tenant=TENANT), timeout=120)


async def until_told(stream: Any, reason: str) -> None:
    """Reads a watch until it tells that reason for the lab."""
    async with asyncio.timeout(60):
        while True:
            event = await stream.read()
            assert event is not grpc.aio.EOF, "the watch ended"
            if event.change.group_key == LAB and event.change.availability.reason == reason:
                return


@pytest.mark.parametrize("shake", [restart, outage, kill, kill_backend], ids=lambda one: one.__name__)
async def test_reads_survive(own_replicas: Replicas, own_postgres: EmbeddedPostgres, lab: Lab, shake: Shake) -> None:
    """Reads and catalogs are answered again, open watches tell the next change, each answered call has its rows."""
    replica = await asyncio.to_thread(own_replicas.start)
    caller = Caller(replica.target)
    await set_up(caller, "lab", lab.settings)
    streams = [watch(caller) for _ in range(WATCHERS)]
    for stream in streams:
        assert (await stream.read()).WhichOneof("event") == "snapshot"
    readers = Readers(caller, asyncio.Event())
    work = [asyncio.create_task(readers.read(f"r{number}")) for number in range(READERS)]
    work += [asyncio.create_task(readers.look()) for _ in range(CATALOGS)]
    for _ in range(SHAKES):
        await asyncio.sleep(1.0)
        await shake(own_postgres)
    await asyncio.sleep(1.0)
    readers.over.set()
    await asyncio.gather(*work)
    states = Counter((one.state, one.failure.reason, one.failure.retryable) for one in readers.answers.values())
    print(f"{shake.__name__}: {states}, {Counter(readers.failed.values())}, {readers.catalogs}")
    assert set(readers.failed.values()) <= PASSING
    assert set(readers.catalogs) <= {"", "away", "AVAILABILITY_CHECK_FAILED"}
    assert readers.catalogs[""] > 0
    async with asyncio.timeout(30):
        while (await caller.execute("lab.things.read", {"name": "a"}, actor="again")).state != SUCCEEDED:
            await asyncio.sleep(0.2)
    last = await caller.execute("lab.things.read", {"name": "a"}, actor="last")
    assert last.state == SUCCEEDED
    await caller("Connections/Disconnect", connections_pb2.DisconnectRequest(tenant=TENANT, provider="lab"))
    for stream in streams:
        await until_told(stream, "INTEGRATION_INACTIVE")
        stream.cancel()
    assert replica.process.poll() is None
    await audited(own_postgres, readers)
    await caller.close()


async def audited(postgres: EmbeddedPostgres, readers: Readers) -> None:
    """Each answered call has one audit row with its outcome, each failed one at most one; each read has its record."""
    connection = await connected(postgres)
    sql = "SELECT actor, outcome FROM audit_log WHERE operation LIKE '%/ExecuteAction' AND actor LIKE 'r%'"
    async with asyncio.timeout(60):
        while len(rows := await connection.fetch(sql)) < len(readers.answers):
            await asyncio.sleep(0.2)
    reads = "SELECT actor, status, invocation_id::text AS id FROM workflow_action_invocations WHERE actor LIKE 'r%'"
    done = {actor: told for actor, told in readers.answers.items() if told.id}
    async with asyncio.timeout(60):
        while len(records := await connection.fetch(reads)) < len(done):
            await asyncio.sleep(0.2)
    await connection.close()
    assert max(Counter(row["actor"] for row in rows).values()) == 1
    outcomes = {row["actor"]: row["outcome"] for row in rows}
    told = {actor: executor_pb2.ExecutionState.Name(one.state) for actor, one in readers.answers.items()}
    assert {actor: f"EXECUTION_STATE_{outcomes.get(actor)}" for actor in told} == told
    assert set(outcomes) <= set(told) | set(readers.failed)
    found = {row["actor"]: row["id"] for row in records if row["actor"] in done}
    assert found == {actor: one.id for actor, one in done.items()}
