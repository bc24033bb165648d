"""The Directory service."""

from collections.abc import Callable, Sequence
from uuid import UUID

from server.core.directory import PERMISSION, Directory
from server.core.directory_checks import UserChange
from server.core.directory_records import DirectoryUser, LinkedAccount, Page
from server.core.page_tokens import page_token, read_page_token
from server.core.tenancy import Tenants
from server.edge.rpc import CallInfo
from server.gen.patchbay.v1 import directory_pb2 as pb
from server.sdk.schedule import WorkItem
from server.sdk.times import timestamp

_PAGE = 100


class DirectoryServicer:
    """Users and work items of tenants."""

    def __init__(self, directory: Directory, tenants: Tenants) -> None:
        self._directory = directory
        self._tenants = tenants

    async def upsert_users(self, request: pb.UpsertUsersRequest, call: CallInfo) -> pb.UpsertUsersResponse:
        """Creates or changes users."""
        tenant = await self._tenant(call, request.tenant)
        changes = [_change(user) for user in request.users]
        users, created = await self._directory.upsert_users(tenant, changes, validate_only=request.validate_only)
        return pb.UpsertUsersResponse(users=map(_user, users), created=created)

    async def list_users(self, request: pb.ListUsersRequest, call: CallInfo) -> pb.ListUsersResponse:
        """Lists users."""
        tenant = await self._tenant(call, request.tenant, reads=True)
        page, size = _page(request, _user_place)
        found = await self._directory.users(tenant, page, technicians_only=request.technicians_only)
        token = page_token(found[size - 1].name, found[size - 1].id) if len(found) > size else ""
        return pb.ListUsersResponse(users=map(_user, found[:size]), next_page_token=token)

    async def deactivate_user(self, request: pb.DeactivateUserRequest, call: CallInfo) -> pb.DeactivateUserResponse:
        """Makes a user inactive."""
        tenant = await self._tenant(call, request.tenant)
        user, upcoming = await self._directory.deactivate(tenant, _id(request.user_id))
        return pb.DeactivateUserResponse(user=_user(user), upcoming_entries=upcoming)

    async def link_account(self, request: pb.LinkAccountRequest, call: CallInfo) -> pb.LinkAccountResponse:
        """Links a user to an account."""
        tenant = await self._tenant(call, request.tenant)
        user = await self._directory.link(
            tenant, _id(request.user_id), request.provider, request.account_id, request.email or None
        )
        return pb.LinkAccountResponse(user=_user(user))

    async def set_calendar(self, request: pb.SetCalendarRequest, call: CallInfo) -> pb.SetCalendarResponse:
        """Connects or disconnects a user's calendar."""
        tenant = await self._tenant(call, request.tenant)
        user = await self._directory.set_calendar(
            tenant, _id(request.user_id), connected=request.connected, calendar_id=request.calendar_id or None
        )
        return pb.SetCalendarResponse(user=_user(user))

    async def upsert_work_items(self, request: pb.UpsertWorkItemsRequest, call: CallInfo) -> pb.UpsertWorkItemsResponse:
        """Creates or changes tickets and project tasks."""
        tenant = await self._tenant(call, request.tenant)
        items = [_item(item) for item in request.work_items]
        created, updated = await self._directory.upsert_work_items(tenant, items, validate_only=request.validate_only)
        return pb.UpsertWorkItemsResponse(created=created, updated=updated)

    async def list_work_items(self, request: pb.ListWorkItemsRequest, call: CallInfo) -> pb.ListWorkItemsResponse:
        """Lists tickets and project tasks."""
        tenant = await self._tenant(call, request.tenant, reads=True)
        page, size = _page(request, _item_place)
        found = await self._directory.work_items(tenant, page)
        last = found[size - 1] if len(found) > size else None
        return pb.ListWorkItemsResponse(
            work_items=map(_told_item, found[:size]),
            next_page_token=page_token(last.kind, last.title, last.id) if last else "",
        )

    async def _tenant(self, call: CallInfo, name: str, *, reads: bool = False) -> str:
        (call.caller.demand_read if reads else call.caller.demand)(PERMISSION)
        call.tenant = await self._tenants.resolve(call.caller, name)
        return call.tenant


def _page(
    request: pb.ListUsersRequest | pb.ListWorkItemsRequest, read: Callable[[Sequence[str]], Sequence[str]]
) -> tuple[Page, int]:
    """Returns what to ask for, one row more than the page has, and the size of the page."""
    size = request.page_size or _PAGE
    return Page(query=request.query, after=read_page_token(request.page_token, read), limit=size + 1), size


def _user_place(texts: Sequence[str]) -> Sequence[str]:
    name, id = texts
    return name, _id(id)


def _item_place(texts: Sequence[str]) -> Sequence[str]:
    kind, title, id = texts
    return kind, title, _id(id)


def _id(text: str) -> str:
    """Returns the canonical form of a UUID; raises ValueError for anything else."""
    return str(UUID(text))


def _change(user: pb.DirectoryUser) -> UserChange:
    return UserChange(
        id=_id(user.id),
        username=user.username.strip() if user.HasField("username") else None,
        email=user.email if user.HasField("email") else None,
        first_name=user.first_name.strip() if user.HasField("first_name") else None,
        last_name=user.last_name.strip() if user.HasField("last_name") else None,
        user_type=user.user_type if user.HasField("user_type") else None,
        roles=[role.strip() for role in user.roles],
        set_roles=user.set_roles,
        timezone=user.timezone if user.HasField("timezone") else None,
        is_active=user.active if user.HasField("active") else None,
    )


def _user(user: DirectoryUser) -> pb.DirectoryUser:
    return pb.DirectoryUser(
        id=user.id,
        username=user.username,
        email=user.email,
        first_name=user.first_name,
        last_name=user.last_name,
        user_type=user.user_type,
        roles=user.roles,
        timezone=user.timezone,
        active=user.is_active,
        accounts=map(_account, user.accounts),
        calendar_connected=user.calendar_connected,
    )


def _account(account: LinkedAccount) -> pb.LinkedAccount:
    return pb.LinkedAccount(
        provider=account.provider,
        account_id=account.account_id,
        email=account.email or "",
        link_time=timestamp(account.linked_at),
    )


def _item(item: pb.DirectoryWorkItem) -> WorkItem:
    id = _id(item.id)
    number = item.number.strip() or (id if item.type == "ticket" else "")
    return WorkItem(kind=item.type, id=id, number=number, title=item.title.strip(), is_closed=item.closed)


def _told_item(item: WorkItem) -> pb.DirectoryWorkItem:
    return pb.DirectoryWorkItem(type=item.kind, id=item.id, number=item.number, title=item.title, closed=item.is_closed)
