"""Plans of the Directory service."""

from collections.abc import Sequence

from patchbay_client import calls
from patchbay_client.gen.patchbay import v1
from patchbay_client.plans import Plan, Session, asked


def upsert_users(
    session: Session,
    users: Sequence[v1.DirectoryUser],
    *,
    validate_only: bool = False,
    tenant: str | None = None,
) -> Plan[v1.UpsertUsersResponse]:
    """Creates or changes users, all or none.

    Args:
        session: The client's defaults.
        users: From 1 to 1,000; fields that are None keep their value.
        validate_only: Makes all checks and changes nothing.
        tenant: Tenant. None: the client's.

    Raises:
        InvalidInput: `violations` names the fields, such as `users[3].timezone`.
    """
    request = v1.UpsertUsersRequest(tenant=session.tenant_of(tenant), users=list(users), validate_only=validate_only)
    return (yield from asked(session, calls.UPSERT_USERS, request))


def list_users(
    session: Session,
    *,
    query: str = "",
    technicians_only: bool = False,
    page_size: int = 0,
    page_token: str = "",
    tenant: str | None = None,
) -> Plan[v1.ListUsersResponse]:
    """Returns a page of users, by name; `next_page_token` is empty on the last one."""
    request = v1.ListUsersRequest(
        tenant=session.tenant_of(tenant),
        query=query,
        technicians_only=technicians_only,
        page_size=page_size,
        page_token=page_token,
    )
    return (yield from asked(session, calls.LIST_USERS, request))


def deactivate_user(session: Session, user_id: str, *, tenant: str | None = None) -> Plan[v1.DeactivateUserResponse]:
    """Makes a user inactive; the answer tells how many entries that are still to come they are booked for."""
    request = v1.DeactivateUserRequest(tenant=session.tenant_of(tenant), user_id=user_id)
    return (yield from asked(session, calls.DEACTIVATE_USER, request))


def link_account(
    session: Session, user_id: str, provider: str, account_id: str, *, email: str = "", tenant: str | None = None
) -> Plan[v1.DirectoryUser]:
    """Links a user to their account at an identity provider, in place of the one linked before."""
    request = v1.LinkAccountRequest(
        tenant=session.tenant_of(tenant), user_id=user_id, provider=provider, account_id=account_id, email=email
    )
    return (yield from asked(session, calls.LINK_ACCOUNT, request)).user or v1.DirectoryUser()


def set_calendar(
    session: Session, user_id: str, *, connected: bool, calendar_id: str = "", tenant: str | None = None
) -> Plan[v1.DirectoryUser]:
    """Connects or disconnects the calendar of a user's linked Microsoft account. `calendar_id`: empty is the default.

    Raises:
        WrongState: No account is linked.
    """
    request = v1.SetCalendarRequest(
        tenant=session.tenant_of(tenant), user_id=user_id, connected=connected, calendar_id=calendar_id
    )
    return (yield from asked(session, calls.SET_CALENDAR, request)).user or v1.DirectoryUser()


def upsert_work_items(
    session: Session,
    items: Sequence[v1.DirectoryWorkItem],
    *,
    validate_only: bool = False,
    tenant: str | None = None,
) -> Plan[v1.UpsertWorkItemsResponse]:
    """Creates or changes tickets and project tasks, from 1 to 1,000, all or none; see `upsert_users`."""
    request = v1.UpsertWorkItemsRequest(
        tenant=session.tenant_of(tenant), work_items=list(items), validate_only=validate_only
    )
    return (yield from asked(session, calls.UPSERT_WORK_ITEMS, request))


def list_work_items(
    session: Session, *, query: str = "", page_size: int = 0, page_token: str = "", tenant: str | None = None
) -> Plan[v1.ListWorkItemsResponse]:
    """Returns a page of tickets and project tasks, by kind and title; `next_page_token` is empty on the last one."""
    request = v1.ListWorkItemsRequest(
        tenant=session.tenant_of(tenant), query=query, page_size=page_size, page_token=page_token
    )
    return (yield from asked(session, calls.LIST_WORK_ITEMS, request))
