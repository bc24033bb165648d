"""Whom and what people can choose when they book."""

from typing import Final

from server.gen.patchbay.modules.scheduling.v1 import scheduling_pb2 as pb
from server.modules.scheduling.reading import Context

_USUAL: Final = 100


async def list_technicians(request: pb.ListTechniciansRequest, ctx: Context) -> pb.ListTechniciansResponse:
    """Lists who can be booked."""
    found = await ctx.schedule.technicians(request.query, request.limit or _USUAL)
    return pb.ListTechniciansResponse(
        technicians=[
            pb.Technician(user_id=user.id, name=user.name, email=user.email, timezone=user.timezone) for user in found
        ]
    )


async def list_work_items(request: pb.ListWorkItemsRequest, ctx: Context) -> pb.ListWorkItemsResponse:
    """Lists tickets and project tasks."""
    found = await ctx.schedule.work_items(
        request.query, request.limit or _USUAL, kind=request.type, closed=request.include_closed
    )
    return pb.ListWorkItemsResponse(
        work_items=[
            pb.ListedWorkItem(
                work_item_id=item.id,
                type=item.kind,
                number=item.number or None,
                title=item.title or item.number or item.id,
                closed=item.is_closed,
            )
            for item in found
        ]
    )
