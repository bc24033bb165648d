"""A server that stands still for longer than its lease, and servers whose clocks are wrong."""

import asyncio
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from server.gen.patchbay.v1 import executor_pb2
from tests.operations.tactical import until
from tests.support.postgres import Fresh
from tests.support.served import Caller, Lab, Replica, Replicas, set_up

pytestmark = pytest.mark.anyio

SUCCEEDED = executor_pb2.EXECUTION_STATE_SUCCEEDED
UNKNOWN = executor_pb2.EXECUTION_STATE_UNKNOWN
LATE = executor_pb2.RESOLUTION_SOURCE_LATE_ANSWER
LEASE = 1.5
SLOWLY, RAW = "lab.things.post_slowly", "lab.things.run_raw"


def posted(lab: Lab, key: str) -> int:
    """Counts the effects of a key at the vendor."""
    return sum(item["detail"]["key"] == key for item in lab.control.effects(kind="post").items)


async def test_a_frozen_server_is_replaced_and_does_no_harm_when_it_wakes(replicas: Replicas, lab: Lab) -> None:
    """Frozen beyond its lease: what it had not sent runs elsewhere, once; what it had sent is settled when it wakes."""
    frozen, other = [await asyncio.to_thread(replicas.start, lease_seconds=LEASE) for _ in range(2)]
    at_frozen, at_other = Caller(frozen.target), Caller(other.target)
    await set_up(at_frozen, "lab", lab.settings)
    lab.control.add_fault("hang", method="GET", path_regex="^/things/unsent")
    lab.control.add_fault("hang", method="POST", path_regex="^/things")
    calls = [
        asyncio.create_task(at_frozen.execute(SLOWLY, {"name": "unsent"}, "unsent", timeout=90)),
        asyncio.create_task(at_frozen.execute(RAW, {"text": "sent"}, "sent", timeout=90)),
    ]
    await until(lambda: posted(lab, "sent") and len(lab.control.requests()) == 3)  # the test of the connection, too
    frozen.process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(2 * LEASE)
    unsent = await at_other.execute(SLOWLY, {"name": "unsent"}, "unsent")
    sent = await at_other.execute(RAW, {"text": "sent"}, "sent")
    assert (unsent.state, unsent.attempt, posted(lab, "unsent")) == (SUCCEEDED, 2, 1)
    assert (sent.state, sent.attempt, posted(lab, "sent")) == (UNKNOWN, 1, 1)
    frozen.process.send_signal(signal.SIGCONT)
    lab.control.clear_faults()
    told = await asyncio.gather(*calls)
    assert [(one.state, one.id) for one in told] == [(SUCCEEDED, unsent.id), (SUCCEEDED, sent.id)]
    settled = await at_other.execution("sent")
    assert (settled.state, settled.resolution.source) == (SUCCEEDED, LATE)
    assert (await at_other.execution("unsent")).attempt == 2
    assert [posted(lab, key) for key in ("unsent", "sent")] == [1, 1]
    again = await at_frozen.execute(RAW, {"text": "next"}, "next")
    assert again.state == SUCCEEDED
    for caller in (at_frozen, at_other):
        await caller.close()


async def test_a_frozen_server_alone_goes_on_where_it_was(replicas: Replicas, lab: Lab) -> None:
    """Frozen beyond its lease with nobody to take over: when it wakes, its callers get what they waited for."""
    replica = await asyncio.to_thread(replicas.start, lease_seconds=LEASE)
    caller = Caller(replica.target)
    await set_up(caller, "lab", lab.settings)
    lab.control.add_fault("hang", method="POST", path_regex="^/things")
    call = asyncio.create_task(caller.execute(RAW, {"text": "a"}, "k", timeout=90))
    await until(lambda: posted(lab, "k"))
    replica.process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(2 * LEASE)
    replica.process.send_signal(signal.SIGCONT)
    await asyncio.sleep(0.5)
    lab.control.clear_faults()
    done = await call
    assert (done.state, done.attempt, done.resolution.source, posted(lab, "k")) == (SUCCEEDED, 1, 0, 1)
    await caller.close()


SKEW = """
import datetime, os, time

seconds, now = float(os.environ["TEST_CLOCK_SKEW"]), time.time


class Skewed(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(time.time(), tz)


time.time = lambda: now() + seconds
time.time_ns = lambda: int(time.time() * 1e9)
datetime.datetime = Skewed
"""


def start_skewed(replicas: Replicas, folder: Path, seconds: float, monkeypatch: pytest.MonkeyPatch) -> Replica:
    """Starts a server process whose wall clock is wrong from its first moment on."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(SKEW)
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder))
        patch.setenv("TEST_CLOCK_SKEW", str(seconds))
        return replicas.start(lease_seconds=LEASE)


@pytest.mark.parametrize("skew", [-3_600.0, 3_600.0])
async def test_wrong_clocks(
    replicas: Replicas, lab: Lab, fresh: Fresh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, skew: float
) -> None:
    """An hour off, a server neither loses its own lease nor takes others', and its rows keep true time.

    Calls have no deadline: gRPC compares it with a clock of its own that these processes cannot turn.
    """
    wrong = await asyncio.to_thread(start_skewed, replicas, tmp_path / "skewed", skew, monkeypatch)
    right = await asyncio.to_thread(replicas.start, lease_seconds=LEASE)
    at_wrong, at_right = Caller(wrong.target), Caller(right.target)
    await set_up(at_right, "lab", lab.settings)
    began = datetime.now(UTC)
    lab.control.add_fault("delay", method="POST", path_regex="^/things", seconds=3 * LEASE, times=2)
    done = await asyncio.gather(
        *(
            one.execute(RAW, {"text": "a"}, f"k{number}", timeout=None)
            for number, one in enumerate((at_wrong, at_right))
        )
    )
    assert [(one.state, one.attempt) for one in done] == [(SUCCEEDED, 1)] * 2
    connection = await asyncpg.connect(fresh.dsn)
    found = await connection.fetch("SELECT created_at, sent_at, completed_at FROM workflow_action_invocations")
    await connection.close()
    slack = timedelta(seconds=60)
    assert len(found) == 2
    assert all(began - slack < time < datetime.now(UTC) + slack for row in found for time in row.values())
    for caller in (at_wrong, at_right):
        await caller.close()
