"""What may enter the directory: pure functions, from what is wanted and what is known to what is stored."""

from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from server.core.directory_records import DirectoryUser, KnownItems, KnownUsers
from server.core.refusals import FieldViolation, Refusal
from server.sdk.schedule import WorkItem, zone_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class UserChange:
    """What is wanted of a user; see `DirectoryUser`. None leaves a value as it is, an empty text removes it."""

    id: str
    username: str | None = None
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    user_type: str | None = None
    roles: Sequence[str] = ()
    set_roles: bool = False
    timezone: str | None = None
    is_active: bool | None = None

    @property
    def wanted_username(self) -> str:
        """The login name of the user when they are new. Empty: there is none."""
        return self.username or self.email or ""


def check_changes(changes: Sequence[UserChange]) -> None:
    """Raises Refusal INPUT_INVALID for ids and login names that stand twice, and for unknown time zones."""
    refuse(
        [
            *_repeated("users", "id", changes, lambda one: one.id),
            *_repeated("users", "username", changes, lambda one: one.username),
            *_unknown_zones(changes),
        ]
    )


def decided_users(changes: Sequence[UserChange], known: KnownUsers) -> Sequence[DirectoryUser]:
    """Returns users as they are to be.

    Args:
        changes: What is wanted, checked by itself.
        known: The present users with their ids, and those who have their login names.

    Raises:
        Refusal: INPUT_INVALID, a login name is missing, or will be that of two users.
    """
    present = {user.id: user for user in known}
    nameless = [at for at, one in enumerate(changes) if one.id not in present and not one.wanted_username]
    refuse(
        FieldViolation(f"users[{at}].username", "must be given for a new user without an e-mail address", "required")
        for at in nameless
    )
    users = [_changed(one, present.get(one.id)) for one in changes]
    staying = {user.username: user.id for user in known if user.id not in {one.id for one in changes}}
    refuse(
        [
            *(
                _violation("users", at, "username", f"belongs to user {staying[user.username]} already", "taken")
                for at, user in enumerate(users)
                if user.username in staying
            ),
            *_repeated("users", "username", users, lambda one: one.username),
        ]
    )
    return users


def check_work_items(items: Sequence[WorkItem]) -> None:
    """Raises Refusal INPUT_INVALID for ids and numbers that stand twice, and for project tasks with a number."""
    refuse(
        [
            *_repeated("work_items", "id", items, lambda one: one.key),
            *_repeated("work_items", "number", items, lambda one: one.number or None),
            *(
                _violation("work_items", at, "number", "must be empty: only tickets have one", "ticket_only")
                for at, one in enumerate(items)
                if one.number and one.kind != "ticket"
            ),
        ]
    )


def check_numbers(items: Sequence[WorkItem], known: KnownItems) -> None:
    """Raises Refusal INPUT_INVALID when a ticket's number belongs to a ticket that is not among the items."""
    changed = {one.key for one in items}
    staying = {one.number: one.id for one in known if one.number and one.key not in changed}
    refuse(
        _violation("work_items", at, "number", f"belongs to ticket {staying[one.number]} already", "taken")
        for at, one in enumerate(items)
        if one.number in staying
    )


def refuse(violations: Collection[FieldViolation] | Iterator[FieldViolation]) -> None:
    """Raises Refusal INPUT_INVALID when there are violations."""
    found = list(violations)
    if found:
        told = "; ".join(f"{one.field} {one.message}" for one in found[:5])
        more = f"; and {len(found) - 5} more" if len(found) > 5 else ""
        raise Refusal("INPUT_INVALID", f"Nothing was changed: {told}{more}.", violations=found)


def _changed(change: UserChange, user: DirectoryUser | None) -> DirectoryUser:
    is_new = user is None
    user = user or DirectoryUser(id=change.id, username=change.wanted_username)
    return replace(
        user,
        username=_chosen(change.username, user.username) or user.username,
        email=_chosen(change.email, user.email),
        first_name=_chosen(change.first_name, user.first_name),
        last_name=_chosen(change.last_name, user.last_name),
        timezone=_chosen(change.timezone, user.timezone),
        user_type=change.user_type or user.user_type,
        roles=_without_repeats(change.roles) if change.set_roles or is_new else user.roles,
        is_active=user.is_active if change.is_active is None else change.is_active,
    )


def _chosen(wanted: str | None, present: str | None) -> str | None:
    return present if wanted is None else wanted or None


def _without_repeats(roles: Sequence[str]) -> Sequence[str]:
    return sorted({role.lower(): role for role in reversed(roles)}.values(), key=str.lower)


def _unknown_zones(changes: Sequence[UserChange]) -> Iterator[FieldViolation]:
    for at, one in enumerate(changes):
        try:
            zone_of(one.timezone)
        except ValueError:
            yield _violation("users", at, "timezone", "is no IANA time zone, such as `Europe/Vienna`", "timezone")


def _repeated(
    field: str, part: str, rows: Sequence[T], key: Callable[[T], Hashable | None]
) -> Iterator[FieldViolation]:
    first: dict[Hashable, int] = {}
    for at, row in enumerate(rows):
        found = key(row)
        if found is not None and first.setdefault(found, at) != at:
            yield _violation(field, at, part, f"stands in {field}[{first[found]}] already", "unique")


def _violation(field: str, at: int, part: str, message: str, rule: str) -> FieldViolation:
    return FieldViolation(f"{field}[{at}].{part}", message, rule)
