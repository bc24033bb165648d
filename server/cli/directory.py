"""`directory import|list|work-items|deactivate|link|calendar`."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import typer
from patchbay_client import to_json
from patchbay_client.gen.patchbay import v1

from server.cli.environment import Environment, command
from server.cli.exits import ExitCode
from server.cli.importing import import_messages, kind_of, messages_of
from server.cli.output import Output
from server.cli.problems import Problem
from server.cli.sheets import read_sheet

app = typer.Typer(help="Technicians, and the tickets and project tasks they work on.", no_args_is_help=True)

UserArgument = Annotated[str, typer.Argument(metavar="USER", help="Id or login name of the user.")]
QueryOption = Annotated[str, typer.Option("--query", help="Text to look for, in any case.")]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=500, help="Rows of a page.")]
PageOption = Annotated[str, typer.Option("--page", help="Page to show, as named by the one before.")]
_MOST = 500


class Switch(StrEnum):
    """On or off."""

    ON = "on"
    OFF = "off"


def import_file(
    environment: Environment,
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="CSV file, or - for standard input.")],
) -> None:
    """Creates or changes users, or tickets and project tasks, from a CSV file, all of it or nothing.

    Columns of users: id, username, email, first_name, last_name, user_type, roles (separated by `;`), timezone,
    active. Of work items: type, id, number, title, closed. An empty cell of a user leaves the value as it is, `-` takes
    it away.
    """
    sheet, output = read_sheet(file), environment.output
    kind = kind_of(sheet)
    messages = messages_of(sheet, kind)
    if not messages:
        raise Problem(f"{sheet.name} has no rows below its header")
    with output.waiting(f"importing {len(messages)} {kind.name}"):
        created, updated = import_messages(environment.client(), output, sheet, kind, messages)
    output.answer(
        {"kind": kind.name.replace(" ", "_"), "created": created, "updated": updated},
        lambda: output.line(f"{kind.name}: {created} new, {updated} there before"),
    )


def list_users(
    environment: Environment,
    query: QueryOption = "",
    technicians: Annotated[bool, typer.Option("--technicians", help="Only those who can be booked.")] = False,
    limit: LimitOption = 100,
    page: PageOption = "",
) -> None:
    """Lists users by name."""
    found = environment.client().directory.users(
        query=query, technicians_only=technicians, page_size=limit, page_token=page
    )
    output = environment.output
    headings = ("user", "name", "login name", "roles", "time zone", "state", "accounts", "calendar")
    output.answer(to_json(found), lambda: output.table(headings, map(_user_row, found.users)))
    _tell_more(output, found.next_page_token)


def list_work_items(
    environment: Environment, query: QueryOption = "", limit: LimitOption = 100, page: PageOption = ""
) -> None:
    """Lists tickets and project tasks by kind and title."""
    found = environment.client().directory.work_items(query=query, page_size=limit, page_token=page)
    output = environment.output
    rows = ((item.type, item.id, item.number, item.title, "closed" if item.closed else "") for item in found.work_items)
    output.answer(to_json(found), lambda: output.table(("kind", "id", "number", "title", ""), rows))
    _tell_more(output, found.next_page_token)


def deactivate(environment: Environment, user: UserArgument) -> None:
    """Makes a user inactive: nothing new can be booked for them; what is booked stays."""
    answer = environment.client().directory.deactivate(_id(environment, user))
    output, entries = environment.output, answer.upcoming_entries
    booked = f"; {entries} entries to come are booked for them" if entries else ""
    output.answer(
        to_json(answer), lambda: output.line(f"{_name(answer.user or v1.DirectoryUser())} is inactive{booked}")
    )


def link(
    environment: Environment,
    user: UserArgument,
    provider: Annotated[str, typer.Argument(metavar="PROVIDER", help="Identity provider, such as microsoft.")],
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="The person's unchanging id there.")],
    email: Annotated[str, typer.Option("--email", help="Address as the provider knows it.")] = "",
) -> None:
    """Links a user to their account at an identity provider, in place of the one linked before.

    For microsoft the account is the object id of the person in Entra.
    """
    linked = environment.client().directory.link(_id(environment, user), provider, account, email=email)
    output = environment.output
    output.answer(to_json(linked), lambda: output.line(f"{_name(linked)} is {account} at {provider}"))


def calendar(
    environment: Environment,
    user: UserArgument,
    switch: Annotated[Switch, typer.Argument(metavar="on|off", help="Whether entries are written into it.")],
    calendar_id: Annotated[str, typer.Option("--calendar", help="Id of the calendar. Default: the usual one.")] = "",
) -> None:
    """Connects or disconnects a user's Microsoft 365 calendar."""
    wanted = switch is Switch.ON
    told = environment.client().directory.set_calendar(
        _id(environment, user), connected=wanted, calendar_id=calendar_id
    )
    output = environment.output
    state = "connected" if told.calendar_connected else "disconnected"
    output.answer(to_json(told), lambda: output.line(f"the calendar of {_name(told)} is {state}"))


def _id(environment: Environment, user: str) -> str:
    """Returns the id of a user who is named by id or login name."""
    try:
        return str(UUID(user))
    except ValueError:
        for found in _users(environment, user):
            if found.username == user:
                return found.id
    raise Problem(f"there is no user with the login name {user!r}", ExitCode.NOT_FOUND)


def _users(environment: Environment, query: str) -> Iterator[v1.DirectoryUser]:
    token = ""
    while True:
        answer = environment.client().directory.users(query=query, page_size=_MOST, page_token=token)
        yield from answer.users
        token = answer.next_page_token
        if not token:
            return


def _user_row(user: v1.DirectoryUser) -> tuple[Any, ...]:
    return (
        user.id,
        _name(user),
        user.username,
        ", ".join(user.roles),
        user.timezone,
        "active" if user.active else "inactive",
        ", ".join(account.provider for account in user.accounts),
        "connected" if user.calendar_connected else "",
    )


def _name(user: v1.DirectoryUser) -> str:
    return " ".join(filter(None, (user.first_name, user.last_name))) or user.username or user.id


def _tell_more(output: Output, token: str) -> None:
    if token and not output.machine:
        output.notice(f"more with --page {token}")


command(app, "import")(import_file)
command(app, "list")(list_users)
command(app, "work-items")(list_work_items)
command(app, "deactivate")(deactivate)
command(app, "link")(link)
command(app, "calendar")(calendar)
