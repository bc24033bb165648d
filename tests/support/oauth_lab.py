"""The OAuth lab module: the smallest real module whose connection holds OAuth tokens."""

from typing import Any

from server.sdk import (
    ActionContext,
    ConnectionScope,
    IntegrationModule,
    Registrar,
    SignIn,
    rmm_connection,
)
from server.sdk.oauth import AccessTokens, ClientCredentials, Grant, OAuthApp, RefreshToken, authorize_url
from tests.gen.torture.oauthlab.v1 import oauthlab_pb2 as pb
from tests.support.paths import TESTS


class OAuthLabClient:
    """The lab's endpoints."""

    def __init__(self, scope: ConnectionScope[pb.OAuthLabConnection]) -> None:
        self._http = scope.http.bind(base_url=scope.settings.instance_url)
        self._tokens = AccessTokens(scope, self._http, _app(scope.settings), _grant(scope.settings))

    async def check(self) -> None:
        """Proves the grant."""
        await self._tokens.send(self._http, "GET", "/check")

    async def read(self, name: str) -> dict[str, Any]:
        """Reads a thing."""
        found: dict[str, Any] = (await self._tokens.send(self._http, "GET", f"/things/{name}")).json()
        return found

    async def post(self, name: str) -> None:
        """Posts a thing."""
        await self._tokens.send(self._http, "POST", "/things", json={"name": name})


def _app(settings: pb.OAuthLabConnection) -> OAuthApp:
    return OAuthApp(
        token_path="/oauth/token",
        authorize_path="/oauth/authorize",
        client_id=settings.client_id,
        client_secret=settings.client_secret,
        scopes=("things", "offline_access"),
    )


def _grant(settings: pb.OAuthLabConnection) -> Grant:
    if settings.HasField("sign_in"):
        return settings.sign_in
    return RefreshToken(settings.refresh_token) if settings.refresh_token else ClientCredentials()


def sign_in(settings: pb.OAuthLabConnection, wanted: SignIn) -> str:
    """Returns where a person signs in; clients named `elsewhere` stand for a module that points to another origin."""
    origin = "https://login.example.com" if settings.client_id == "elsewhere" else settings.instance_url
    return authorize_url(origin, _app(settings), wanted)


async def read_thing(request: pb.ReadThingRequest, ctx: ActionContext[OAuthLabClient]) -> pb.ReadThingResponse:
    """Reads a thing."""
    return pb.ReadThingResponse(**await ctx.client.read(request.name))


async def post_thing(request: pb.PostThingRequest, ctx: ActionContext[OAuthLabClient]) -> pb.PostThingResponse:
    """Posts a thing; the name `twice` posts it again."""
    await ctx.client.post(request.name)
    if request.name == "twice":
        await ctx.client.post(request.name)
    return pb.PostThingResponse(name=request.name)


MODULE = IntegrationModule[pb.OAuthLabConnection, OAuthLabClient](
    contract=pb.DESCRIPTOR.services_by_name["OAuthLab"],
    availability=rmm_connection("oauthlab", "OAuth lab"),
    connect=OAuthLabClient,
    check=OAuthLabClient.check,
    instance_url=lambda settings: settings.instance_url,
    sign_in=sign_in,
    handlers=[read_thing, post_thing],
    descriptor_set=(TESTS / "gen" / "descriptors.binpb").read_bytes(),
)


def register(registrar: Registrar) -> None:
    """Adds the lab."""
    registrar.add(MODULE)
