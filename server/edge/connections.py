"""The Connections service."""

from google.protobuf.struct_pb2 import Struct

from server.core.connections import PERMISSION, Connections, StoredConnection
from server.core.tenancy import Tenants
from server.edge.rpc import CallInfo
from server.gen.patchbay.v1 import connections_pb2 as pb
from server.sdk.failures import ActionFailure
from server.sdk.module import SignIn
from server.sdk.times import timestamp


class ConnectionsServicer:
    """Connecting tenants to their tools. No answer holds a secret."""

    def __init__(self, connections: Connections, tenants: Tenants) -> None:
        self._connections = connections
        self._tenants = tenants

    async def list_providers(self, _request: pb.ListProvidersRequest, call: CallInfo) -> pb.ListProvidersResponse:
        """Lists what can be connected."""
        call.caller.demand(PERMISSION)
        return pb.ListProvidersResponse(providers=self._connections.list_providers())

    async def connect(self, request: pb.ConnectRequest, call: CallInfo) -> pb.ConnectResponse:
        """Connects a tenant to a tool when the vendor accepts the credentials."""
        tenant = await self._tenant(call, request.tenant)
        try:
            stored = await self._connections.connect(
                call.caller,
                tenant,
                request.provider,
                request.settings,
                request.grant,
                patience=call.remaining(),
            )
        except ActionFailure as refused:
            call.outcome, call.reason = "FAILED", refused.failure.reason
            return pb.ConnectResponse(failure=refused.failure)
        return pb.ConnectResponse(connection=_connection(stored))

    async def begin_sign_in(self, request: pb.BeginSignInRequest, call: CallInfo) -> pb.BeginSignInResponse:
        """Says where a person signs in to the vendor."""
        await self._tenant(call, request.tenant)
        sign_in = SignIn(redirect_uri=request.redirect_uri, state=request.state, code_challenge=request.code_challenge)
        try:
            address = self._connections.begin_sign_in(
                call.caller, request.provider, request.settings, request.grant, sign_in
            )
        except ActionFailure as refused:
            call.outcome, call.reason = "FAILED", refused.failure.reason
            return pb.BeginSignInResponse(failure=refused.failure)
        return pb.BeginSignInResponse(authorize_url=address)

    async def test_connection(self, request: pb.TestConnectionRequest, call: CallInfo) -> pb.TestConnectionResponse:
        """Tests the stored credentials."""
        tenant = await self._tenant(call, request.tenant)
        tested = await self._connections.test(tenant, request.provider, patience=call.remaining())
        if tested.last_failure is not None:
            call.outcome, call.reason = "FAILED", tested.last_failure.reason
        return pb.TestConnectionResponse(connection=_connection(tested), failure=tested.last_failure)

    async def disconnect(self, request: pb.DisconnectRequest, call: CallInfo) -> pb.DisconnectResponse:
        """Ends a connection."""
        tenant = await self._tenant(call, request.tenant)
        ended = await self._connections.disconnect(tenant, request.provider)
        return pb.DisconnectResponse(connection=_connection(ended))

    async def list_connections(self, request: pb.ListConnectionsRequest, call: CallInfo) -> pb.ListConnectionsResponse:
        """Lists the tenant's connections."""
        tenant = await self._tenant(call, request.tenant)
        return pb.ListConnectionsResponse(connections=map(_connection, await self._connections.list(tenant)))

    async def _tenant(self, call: CallInfo, name: str) -> str:
        call.caller.demand(PERMISSION)
        call.tenant = await self._tenants.resolve(call.caller, name)
        return call.tenant


def _connection(stored: StoredConnection) -> pb.Connection:
    settings = Struct()
    settings.update(stored.settings)
    return pb.Connection(
        id=stored.id,
        provider=stored.provider,
        tenant=stored.tenant,
        instance_url=stored.instance_url,
        active=stored.is_active,
        settings=settings,
        grant=stored.grant,
        last_failure=stored.last_failure,
        connect_time=timestamp(stored.connected_at),
    )
