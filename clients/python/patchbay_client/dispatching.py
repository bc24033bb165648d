"""Plans of the Dispatch service."""

from patchbay_client import calls
from patchbay_client.gen.patchbay import v1
from patchbay_client.plans import Plan, Session, asked


def get_sync(session: Session, entry_id: str, *, tenant: str | None = None) -> Plan[v1.GetSyncResponse]:
    """Returns where the events of a schedule entry have arrived."""
    request = v1.GetSyncRequest(tenant=session.tenant_of(tenant), entry_id=entry_id)
    return (yield from asked(session, calls.GET_SYNC, request))


def list_dead_letters(session: Session, *, limit: int = 0, tenant: str | None = None) -> Plan[list[v1.EventDelivery]]:
    """Returns events that were given up, newest first; at most `limit`, from 1 to 500. 0: 100."""
    request = v1.ListDeadLettersRequest(tenant=session.tenant_of(tenant), limit=limit)
    return (yield from asked(session, calls.LIST_DEAD_LETTERS, request)).dead_letters


def retry_dead_letter(
    session: Session, event_id: str, consumer: str, *, tenant: str | None = None
) -> Plan[v1.EventDelivery]:
    """Has an event that was given up delivered once more, and returns the delivery.

    Args:
        session: The client's defaults.
        event_id: Id of the event.
        consumer: Provider of the connection that consumes it.
        tenant: Tenant. None: the client's.
    """
    request = v1.RetryDeadLetterRequest(tenant=session.tenant_of(tenant), event_id=event_id, consumer=consumer)
    answer = yield from asked(session, calls.RETRY_DEAD_LETTER, request)
    return answer.delivery or v1.EventDelivery()
