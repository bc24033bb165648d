"""Planted secrets are found nowhere: not in the database, its files, logs, answers, or the process table."""

import asyncio
import base64
import html
import json
import os
import secrets
import signal
import subprocess
import sys
from urllib.parse import quote

import pytest

from server.conformance.canaries import Search
from server.gen.patchbay.v1 import executor_pb2
from tests.security import places
from tests.security.journey import JOURNEYS
from tests.security.stage import Stage, planted, stage, tls_url

__all__ = ["planted", "stage", "tls_url"]

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]


async def end(stage: Stage) -> int:
    """Ends the server while it works; returns its exit code."""
    stage.lab.control.add_fault("delay", method="POST", path_regex="^/things", seconds=1.0)
    given = {"name": "a", "secret": stage.planted.secret}
    running = asyncio.create_task(stage.heard.execute("lab.things.post", given, "last"))
    before = stage.lab.posts()
    while stage.lab.posts() == before:
        await asyncio.sleep(0.02)
    code = await asyncio.to_thread(stage.replica.kill, signal.SIGTERM)
    done = await running
    assert done.state == executor_pb2.EXECUTION_STATE_SUCCEEDED
    return code


async def test_planted_secrets_are_found_nowhere(stage: Stage) -> None:
    """After every success and failure, in every spelling; the server logs all it can and ends by SIGTERM."""
    seen = places.processes(stage.replica.process.pid)
    for journey in JOURNEYS:
        await journey(stage)
    seen |= places.processes(stage.replica.process.pid)
    assert await end(stage) == 0
    where = {**seen, **await everywhere(stage)}
    assert {line for line in (b"handler failed", b"probe settled", b"told") if line not in where["log"]} == set()
    assert stage.heard.count > 180
    assert {"pg_dump", "table public.workflow_action_invocations", "table public.audit_log"} <= where.keys()
    assert len(stage.planted.learned) >= 3
    assert Search(stage.planted.named())(where) == []


async def everywhere(stage: Stage) -> dict[str, bytes]:
    """Tables, dump, files, log, answers."""
    return {
        **await places.rows(stage.fresh),
        **await places.dump(stage.fresh),
        **await places.files(stage.fresh),
        "log": stage.replica.log.read_bytes(),
        "answers": bytes(stage.heard.told),
    }


async def test_the_search_finds_what_is_there(stage: Stage) -> None:
    """What is told openly is found by the same search in rows, dump, files, log and answers."""
    marker = f"marker{secrets.token_hex(10)}"
    await stage.connect_lab()
    given = {"name": "a", "mode": "crash_before"}
    done = await stage.heard.execute("lab.things.post", given, "k", actor=f'the "{marker}" shift')
    await asyncio.to_thread(stage.replica.kill, signal.SIGTERM)
    found = Search({"marker": marker, "id": done.id.replace("-", "")})(await everywhere(stage))
    told = {(place.split("/")[0].removesuffix(stage.fresh.dsn), name) for place, name, _ in found}
    tables = {place for place, name, _ in found if name == "marker" and place.startswith("table")}
    assert tables == {"table public.audit_log", "table public.workflow_action_invocations"}
    assert {("pg_dump", "marker"), ("answers", "marker"), ("file pg_wal", "marker")} <= told
    assert [place for place, name, _ in found if name == "marker" and place.startswith("file") and "wal" not in place]
    in_log = Search({"id": done.id.rpartition("-")[2]})(await everywhere(stage))
    assert "log" in {place for place, _, _ in in_log}


def test_the_search_looks_into_processes() -> None:
    """The environment and the command line of a child are searched."""
    marker, argument = f"marker{secrets.token_hex(10)}", f"argument{secrets.token_hex(10)}"
    command = [sys.executable, "-c", "import sys; sys.stdin.read()", argument]
    child = subprocess.Popen(command, env={"MARKER": marker}, stdin=subprocess.PIPE)
    try:
        found = Search({"marker": marker, "argument": argument})(places.processes(os.getpid()))
    finally:
        child.communicate()
    told = {(place.split()[0], name) for place, name, _ in found if str(child.pid) in place}
    assert told == {("environ", "marker"), ("cmdline", "argument")}


SECRET = 'key 0123456789abcdef01 "\\ü/+&<'
SPELLINGS = {
    "plain": SECRET,
    "JSON": json.dumps(SECRET),
    "JSON in JSON": json.dumps(json.dumps({"a": SECRET}, ensure_ascii=False)),
    "repr": repr(SECRET),
    "URL": quote(SECRET),
    "HTML": html.escape(SECRET),
    "hexadecimal": SECRET.encode().hex(),
    "a part": SECRET[:-4],
    **{f"base64 after {n}": base64.b64encode(b"x" * n + SECRET.encode()).decode() for n in range(4)},
    **{f"base64url after {n}": base64.urlsafe_b64encode(b"x" * n + SECRET.encode()).decode() for n in range(4)},
}


@pytest.mark.parametrize("text", SPELLINGS.values(), ids=SPELLINGS)
def test_the_search_knows_every_spelling(text: str) -> None:
    """A secret is found in any spelling; a text without it is not suspected."""
    search = Search({"secret": SECRET})
    assert search({"here": b"before " + text.encode() + b" after"})
    assert search({"here": text.replace("0123456789abcdef01", "").replace("key", "").encode()[:3]}) == []
