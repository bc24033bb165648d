"""Secrets in disguise: what a vendor repeats in another spelling, what is cut, what a probe brings back."""

import asyncio
import base64
import html
import json
from typing import Any

import grpc
import pytest

from server.conformance.canaries import Search
from server.gen.patchbay.v1 import connections_pb2, executor_pb2
from tests.security.places import rows
from tests.support.served import LOOPBACK, TENANT, Served, struct

pytestmark = pytest.mark.anyio

CORE = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
SECRET = f'key {CORE} "\\ü/+&<'
UNKNOWN = executor_pb2.EXECUTION_STATE_UNKNOWN


async def leaks(served: Served, *answers: object) -> list[tuple[str, str, str]]:
    """Where the secret is found: in answers and in the database's rows."""
    told = {"answers": "".join(map(str, answers)).encode()}
    return Search({"secret": SECRET})({**told, **await rows(served.fresh)})


def quoted(times: int) -> str:
    """The secret in JSON in JSON in JSON."""
    text = SECRET
    for _ in range(times):
        text = json.dumps({"error": text})
    return text


DISGUISES: dict[str, Any] = {
    "JSON": quoted(1),
    "JSON in JSON": quoted(2),
    "JSON in JSON in JSON": quoted(3),
    "HTML in JSON": json.dumps({"error": f"<p>{html.escape(SECRET)}</p>"}),
    "JSON in HTML": f"<p>{html.escape(quoted(1))}</p>",
    "base64": base64.b64encode(SECRET.encode()).decode(),
    "base64url": base64.urlsafe_b64encode(SECRET.encode()).decode(),
    "basic authentication": base64.b64encode(b"user:" + SECRET.encode()).decode(),
    "hexadecimal": SECRET.encode().hex(),
}


@pytest.mark.parametrize("body", DISGUISES.values(), ids=DISGUISES)
async def test_a_secret_in_disguise_is_masked(served: Served, body: str) -> None:
    """The vendor repeats a secret input in a spelling of its own; neither an answer nor a row gives it away."""
    served.lab.control.add_fault("status", method="POST", path_regex="^/things", status=422, body=body)
    done = await served.execute("post", {"name": "a", "secret": SECRET}, "k")
    assert done.failure.vendor_status == 422
    assert await leaks(served, done) == []


@pytest.mark.parametrize("before", [0, 400, 900, 990])
async def test_a_cut_lays_no_part_of_a_secret_bare(served: Served, before: int) -> None:
    """Text is masked before it is cut: a secret that lies across the limit leaves no beginning behind."""
    long_secret = "x" * before + CORE * 40
    done = await served.execute("post", {"name": "a", "mode": "tell_secret", "secret": long_secret}, "k")
    assert done.state == executor_pb2.EXECUTION_STATE_SUCCEEDED
    stored = await rows(served.fresh)
    assert Search({"secret": CORE})({"answer": str(done).encode(), **stored}) == []


async def test_what_a_probe_brings_back_holds_no_secret_of_the_call(served: Served) -> None:
    """The answer is lost, the probe's answer repeats the call's secret: what is recorded and told is masked."""
    secret = SECRET[:-4]
    served.lab.control.add_fault("reset_after", method="POST", path_regex="^/things")
    body = {"id": "1", "name": f"posted with {secret}"}
    served.lab.control.add_fault("status", method="GET", path_regex="^/by-key", status=200, body=body, times=0)
    done = await served.execute("post", {"name": "a", "secret": secret}, "k")
    async with asyncio.timeout(20):
        while (settled := await served.caller.execution("k")).state == UNKNOWN:
            await asyncio.sleep(0.1)
    assert settled.state == executor_pb2.EXECUTION_STATE_SUCCEEDED
    assert await leaks(served, done, settled) == []


PLACES: dict[str, Any] = {
    "query": "http://{host}/?token={secret}",
    "fragment": "http://{host}/#{secret}",
    "user": "http://user:{secret}@{host}",
}


@pytest.mark.parametrize("address", PLACES.values(), ids=PLACES)
async def test_an_address_with_a_secret_is_refused_not_stored(served: Served, address: str) -> None:
    """An address with a query, a fragment or a user name is no base address: nothing of it is stored or shown."""
    url = address.format(host=served.lab.url.removeprefix("http://"), secret=CORE)
    settings = struct({**served.lab.settings, "instance_url": url})
    request = connections_pb2.ConnectRequest(tenant=TENANT, provider="lab", settings=settings, grant=LOOPBACK)
    answer: object
    try:
        answer = await served.caller("Connections/Connect", request)
    except grpc.RpcError as refusal:
        answer = refusal
    listed = await served.caller("Connections/ListConnections", connections_pb2.ListConnectionsRequest(tenant=TENANT))
    assert Search({"secret": CORE})({"answer": f"{answer}{listed}".encode(), **await rows(served.fresh)}) == []
