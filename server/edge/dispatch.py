"""The Dispatch service: what became of the events of entries."""

from typing import Final

from server.core.deliveries import DeliveryRecord, OutboxStore, ShownEvent
from server.core.refusals import Refusal
from server.core.tenancy import Tenants
from server.edge.board import PERMISSION
from server.edge.rpc import CallInfo
from server.gen.patchbay.v1 import dispatch_pb2 as pb
from server.sdk.times import timestamp

_DEAD_LETTERS: Final = 100


class OutboxServicer:
    """GetSync, ListDeadLetters, RetryDeadLetter; a part of the Dispatch service."""

    def __init__(self, tenants: Tenants, outbox: OutboxStore) -> None:
        self._tenants = tenants
        self._outbox = outbox

    async def get_sync(self, request: pb.GetSyncRequest, call: CallInfo) -> pb.GetSyncResponse:
        """Says where the events of an entry have arrived."""
        call.caller.demand_read(PERMISSION)
        found = await self._outbox.sync(await self._tenant(request.tenant, call), request.entry_id)
        if found is None:
            raise Refusal("ENTRY_UNKNOWN", f"The board has no entry `{request.entry_id}`.")
        return pb.GetSyncResponse(
            sequence=found.sequence,
            deliveries=map(_delivery, found.deliveries),
            calendar_events=map(_shown, found.calendar_events),
        )

    async def list_dead_letters(self, request: pb.ListDeadLettersRequest, call: CallInfo) -> pb.ListDeadLettersResponse:
        """Lists events that were given up."""
        call.caller.demand_read(PERMISSION)
        tenant = await self._tenant(request.tenant, call)
        found = await self._outbox.dead_letters(tenant, request.limit or _DEAD_LETTERS)
        return pb.ListDeadLettersResponse(dead_letters=map(_delivery, found))

    async def retry_dead_letter(self, request: pb.RetryDeadLetterRequest, call: CallInfo) -> pb.RetryDeadLetterResponse:
        """Delivers an event that was given up once more."""
        call.caller.demand(PERMISSION)
        tenant = await self._tenant(request.tenant, call)
        found = await self._outbox.revive(tenant, request.event_id, request.consumer)
        if found is None:
            told = f"No event `{request.event_id}` for `{request.consumer}` was given up."
            raise Refusal("DEAD_LETTER_UNKNOWN", told)
        return pb.RetryDeadLetterResponse(delivery=_delivery(found))

    async def _tenant(self, name: str, call: CallInfo) -> str:
        call.tenant = await self._tenants.resolve(call.caller, name)
        return call.tenant


def _delivery(record: DeliveryRecord) -> pb.EventDelivery:
    return pb.EventDelivery(
        event_id=record.event_id,
        type=record.type,
        entry_id=record.entry_id,
        sequence=record.sequence,
        consumer=record.consumer,
        state=record.state,
        attempts=record.attempts,
        next_try_time=timestamp(record.next_try_at),
        last_failure=record.last_failure,
        event_time=timestamp(record.event_at),
        end_time=timestamp(record.ended_at),
    )


def _shown(event: ShownEvent) -> pb.CalendarEvent:
    return pb.CalendarEvent(
        user_id=event.user_id,
        provider=event.provider,
        external_event_id=event.external_id,
        sequence=event.sequence,
    )
