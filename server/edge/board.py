"""The Dispatch service: the board."""

from server.core.board import Boards
from server.core.tenancy import Tenants
from server.edge.rpc import CallInfo
from server.gen.patchbay.v1 import dispatch_pb2 as pb

PERMISSION = "dispatch"


class BoardServicer:
    """GetBoard; a part of the Dispatch service."""

    def __init__(self, tenants: Tenants, boards: Boards) -> None:
        self._tenants = tenants
        self._boards = boards

    async def get_board(self, request: pb.GetBoardRequest, call: CallInfo) -> pb.GetBoardResponse:
        """Returns a page of the board."""
        call.caller.demand_read(PERMISSION)
        call.tenant = await self._tenants.resolve(call.caller, request.tenant)
        return await self._boards.get(call.tenant, request)
