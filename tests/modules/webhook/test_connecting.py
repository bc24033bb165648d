"""Connecting a receiver of webhooks: what is accepted, what is refused with the field, what is shown of it."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.protobuf.json_format import MessageToJson

from sandbox.client import SandboxControl
from sandbox.webhook import demo_connection
from server.gen.patchbay.modules.webhook.v1.webhook_pb2 import WebhookConnection
from server.gen.patchbay.v1 import connections_pb2, identity_pb2
from server.modules.webhook.client import WebhookClient
from server.sdk import ActionFailure, ConnectionScope
from server.sdk.http import EgressGrant, HttpPool
from tests.outbox.receiver import receiver_url
from tests.support.served import LOOPBACK, Served, struct

__all__ = ["receiver_url"]

pytestmark = pytest.mark.anyio


def secret(size: int) -> str:
    """Returns a signing secret of that many bytes."""
    return "whsec_" + base64.b64encode(bytes(range(size))).decode()


@pytest.fixture
async def http() -> AsyncIterator[HttpPool]:
    """HTTP clients."""
    pool = HttpPool()
    yield pool
    await pool.close()


def client_of(http: HttpPool, **settings: str) -> WebhookClient:
    """Returns a client that may reach this machine."""
    grant = EgressGrant.parse(["127.0.0.0/8"], True)
    wanted = WebhookConnection(**{"url": "https://hooks.example.com", "signing_secret": secret(24), **settings})
    return WebhookClient(ConnectionScope(tenant="t", connection_id="c", settings=wanted, http=http.client(grant)))


async def connect(served: Served, grant: connections_pb2.EgressGrant = LOOPBACK, **settings: Any) -> Any:
    """Connects tenant `acme` to a receiver and returns the answer."""
    await served.caller("Identity/CreateTenant", identity_pb2.CreateTenantRequest(slug="acme"))
    request = connections_pb2.ConnectRequest(tenant="acme", provider="webhook", settings=struct(settings), grant=grant)
    return await served.caller("Connections/Connect", request)


async def test_connecting_posts_a_signed_event(served: Served, receiver_url: str) -> None:
    """The receiver is asked with an event of type `patchbay.test`; of its address scheme, host and port are shown."""
    control = SandboxControl(receiver_url)
    settings = demo_connection(receiver_url, control.credentials())
    answer = await connect(served, **settings)
    assert not answer.HasField("failure"), answer.failure
    assert answer.connection.instance_url == receiver_url
    (event,) = [item["detail"] for item in control.effects(kind="event").items]
    assert (event["type"], event["data"]) == ("patchbay.test", {})
    shown = MessageToJson(answer)
    assert settings["url"] not in shown
    assert settings["signing_secret"] not in shown


async def test_another_secret_is_refused_by_the_receiver(served: Served, receiver_url: str) -> None:
    """A receiver that does not accept the signature is not connected; the failure says what to look at."""
    settings = demo_connection(receiver_url, SandboxControl(receiver_url).credentials())
    answer = await connect(served, **{**settings, "signing_secret": secret(32)})
    assert answer.failure.reason == "CREDENTIALS_REFUSED"
    assert "signing secret" in answer.failure.remedy.text


async def test_a_private_address_needs_a_grant(served: Served, receiver_url: str) -> None:
    """Without one nothing is sent to this machine."""
    settings = demo_connection(receiver_url, SandboxControl(receiver_url).credentials())
    answer = await connect(served, connections_pb2.EgressGrant(), **settings)
    assert answer.failure.reason == "EGRESS_REFUSED"
    assert SandboxControl(receiver_url).requests() == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("url", "ftp://hooks.example.com"),
        ("url", "https://user:word@hooks.example.com"),
        ("url", "https://"),
        ("signing_secret", secret(65)),
        ("former_signing_secret", "whsec_" + "A" * 33),
    ],
)
async def test_bad_settings_name_their_field(http: HttpPool, field: str, value: str) -> None:
    """Addresses that are none and secrets of another size: the failure names the field and repeats no secret."""
    with pytest.raises(ActionFailure) as caught:
        client_of(http, **{field: value})
    failure = caught.value.failure
    assert (failure.reason, failure.field) == ("INTEGRATION_MISCONFIGURED", f"settings.{field}")
    assert value.removeprefix("https://") not in f"{failure.message}{caught.value}" or value == "https://"


@pytest.mark.parametrize("size", [24, 32, 64])
async def test_secrets_of_every_allowed_size_are_taken(http: HttpPool, size: int) -> None:
    """24 to 64 bytes, with and without the padding of base64."""
    for text in (secret(size), secret(size).rstrip("=")):
        assert client_of(http, signing_secret=text)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://hooks.example.com/a/b?token=t", "https://hooks.example.com"),
        ("hooks.example.com:8443", "https://hooks.example.com:8443"),
        ("https://[2001:db8::1]/x", "https://[2001:db8::1]"),
    ],
)
def test_only_the_origin_of_an_address_is_shown(url: str, origin: str) -> None:
    """Path and query may hold a token."""
    assert WebhookClient.instance_url(WebhookConnection(url=url)) == origin


async def test_a_change_of_secrets_is_signed_by_both(served: Served, receiver_url: str) -> None:
    """While a former secret is set, receivers that know either accept the event; one that knows neither does not."""
    settings = demo_connection(receiver_url, SandboxControl(receiver_url).credentials())
    known, new, unknown = settings["signing_secret"], secret(32), secret(48)
    for pair, accepted in (((known, new), True), ((new, known), True), ((new, unknown), False)):
        both = {"signing_secret": pair[0], "former_signing_secret": pair[1]}
        assert (await connect(served, **{**settings, **both})).HasField("failure") is not accepted
