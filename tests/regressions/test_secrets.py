"""A11, S1, S7, S11: what is stored and told."""

import json

import asyncpg
import pytest

from server.gen.patchbay.v1 import executor_pb2
from tests.support import lab_vendor
from tests.support.served import TENANT, Served

pytestmark = pytest.mark.anyio

SECRET = "s3cret/of+a step=4711"


async def rows(served: Served, table: str) -> str:
    """All rows of a table as text, as its owner sees them."""
    connection = await asyncpg.connect(served.fresh.dsn)
    try:
        await connection.execute("SELECT set_config('patchbay.tenant', '*', false)")
        return "\n".join(row["text"] for row in await connection.fetch(f"SELECT t::text AS text FROM {table} t"))
    finally:
        await connection.close()


async def test_a11_s1_a_secret_of_a_step_is_stored_nowhere(served: Served) -> None:
    """The row, the read-out and the list hold `***`; the vendor's repetition of it is masked, replayed or not."""
    given = {"name": "a", "mode": "tell_secret", "secret": SECRET}
    done = await served.execute("post", given, "k")
    again = await served.execute("post", given, "k")
    kept = await served.caller.execution("k")
    listed = await served.caller("ActionExecutor/ListExecutions", executor_pb2.ListExecutionsRequest(tenant=TENANT))
    stored = await rows(served, "workflow_action_invocations")
    told = f"{done}{again}{kept}{listed}{stored}"
    assert (kept.input["secret"], done.output.json["thing"]["text"]) == ("***", "it is ***")
    assert [
        spelling for spelling in (SECRET, json.dumps(SECRET)[1:-1], SECRET.encode().hex()) if spelling in told
    ] == []


async def test_s7_a_vendors_page_is_cut_and_masked(served: Served) -> None:
    """A page of 50,000 characters that repeats the token becomes at most 1,000 masked ones, told and stored."""
    page = f"<html><head><style>p {{}}</style></head><p>no {lab_vendor.TOKEN} {'x' * 50_000}</p></html>"
    served.lab.control.add_fault("status", method="POST", path_regex="^/things", status=422, body=page)
    done = await served.execute("post", {"name": "a"}, "k")
    assert done.failure.vendor_message.startswith("no ***")
    assert len(done.failure.vendor_message) <= 1_000
    assert lab_vendor.TOKEN not in f"{done}" + await rows(served, "workflow_action_invocations")
    assert (await served.caller.execution("k")).failure == done.failure


async def test_s11_credentials_are_encrypted_and_rows_belong_to_a_tenant(served: Served) -> None:
    """No row and no file of the server holds the token; another tenant's scope sees neither connection nor secret."""
    stored = await rows(served, "connection_credentials") + await rows(served, "rmm_integrations")
    assert lab_vendor.TOKEN not in stored
    assert lab_vendor.TOKEN.encode().hex() not in stored
    folder = served.handle.house.settings.data_dir
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    assert [path.name for path in files if lab_vendor.TOKEN.encode() in path.read_bytes()] == []
    other = await served.handle.house.tenant_store.create("other")
    async with served.handle.house.database.tenant(other.id) as connection:
        for table in ("connection_credentials", "rmm_integrations"):
            assert await connection.fetch(f"SELECT * FROM {table}") == []
