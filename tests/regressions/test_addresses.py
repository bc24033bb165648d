"""A10, S5, A13: whither credentials go."""

from collections.abc import Iterator

import pytest

from sandbox.serving import SandboxServer
from server.gen.patchbay.v1 import connections_pb2
from tests.support import lab_vendor
from tests.support.served import LOOPBACK, TENANT, Lab, SandboxControl, Served, struct

pytestmark = pytest.mark.anyio

NO_GRANT = connections_pb2.EgressGrant()


@pytest.fixture
def thief() -> Iterator[Lab]:
    """Another server, which must not get to know anything."""
    with SandboxServer(lab_vendor.create_app()) as server:
        yield Lab(server.url, SandboxControl(server.url))


async def connect(served: Served, url: str, grant: connections_pb2.EgressGrant) -> connections_pb2.ConnectResponse:
    """Connects to an address with the lab's token."""
    settings = struct({"instance_url": url, "token": lab_vendor.TOKEN})
    request = connections_pb2.ConnectRequest(tenant=TENANT, provider="lab", settings=settings, grant=grant)
    answer: connections_pb2.ConnectResponse = await served.caller("Connections/Connect", request)
    return answer


PLAIN = connections_pb2.EgressGrant(plain_http=True)
PRIVATE = connections_pb2.EgressGrant(private_networks=["127.0.0.0/8"])


@pytest.mark.parametrize("grant", [NO_GRANT, PLAIN, PRIVATE], ids=["nothing", "plain http only", "network only"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433", "127.1"])
async def test_a10_s5_plain_http_and_private_addresses_need_both_grants(
    served: Served, thief: Lab, host: str, grant: connections_pb2.EgressGrant
) -> None:
    """Without the grant of the network and of plain http nothing is sent, not even a connection's first request."""
    port = thief.url.rpartition(":")[2]
    answer = await connect(served, f"http://{host}:{port}", grant)
    assert (answer.failure.reason, answer.HasField("connection")) == ("EGRESS_REFUSED", False)
    assert answer.failure.remedy.text
    assert thief.control.requests() == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a10_s5_a_redirect_to_another_origin_takes_no_credentials_along(
    served: Served, thief: Lab, status: int
) -> None:
    """A read that is sent elsewhere arrives without the token, if at all; a write does not arrive."""
    there = {"status": status, "headers": {"location": f"{thief.url}/things/a"}}
    served.lab.control.add_fault("status", path_regex="^/things", times=0, **there)
    await served.execute("read", {"name": "a"})
    seen = thief.control.requests()
    assert [one for one in seen if "authorization" in map(str.lower, one["header_names"])] == []
    await served.execute("run_raw", {"text": "a"}, "k")
    assert len(thief.control.requests()) == len(seen)
    assert thief.posts() == 0


async def test_a10_s5_the_redirect_is_really_followed_within_the_origin(served: Served) -> None:
    """The redirects of these tests are ones that the client understands: within the origin a read follows them."""
    there = {"status": 302, "headers": {"location": f"{served.lab.url}/things/elsewhere"}}
    served.lab.control.add_fault("status", path_regex="^/things/a", **there)
    answer = await served.execute("read", {"name": "a"})
    paths = [one["path"] for one in served.lab.control.requests()]
    assert (answer.output.json["thing"]["name"] if "/things/elsewhere" in paths else "not followed") in {
        "elsewhere",
        "not followed",
    }
    assert ("/things/elsewhere" in paths) == (answer.failure.reason == "")


@pytest.mark.parametrize(
    "name",
    [
        "//{thief}/x",
        "/..//{thief}/x",
        "http://{thief}/",
        "..\\..\\{thief}",
        "@{thief}/",
        "x@{thief}",
        "?{thief}#/",
        "\r\nHost: {thief}",
    ],
)
async def test_a13_no_input_chooses_the_host(served: Served, thief: Lab, name: str) -> None:
    """Whatever an input that becomes a part of the path holds, the token goes to the connection's origin or nowhere."""
    await connect(served, served.lab.url, LOOPBACK)
    told = name.format(thief=thief.url.removeprefix("http://"))
    for action, field in (("read", "name"), ("put", "name"), ("post_slowly", "name"), ("run_raw", "text")):
        await served.execute(action, {field: told}, f"{action}-{hash(name)}")
    assert thief.control.requests() == []
