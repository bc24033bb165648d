"""`board`, and `feeds create|list|revoke`."""

import datetime as dt
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer
from patchbay_client import Patchbay, to_json
from patchbay_client.gen.patchbay import v1

from server.cli.board_chart import chart
from server.cli.environment import Environment, command
from server.cli.problems import Problem

feeds = typer.Typer(help="Calendar feeds of technicians.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Adds these commands."""
    command(app, "board")(board)


def board(
    environment: Environment,
    day: Annotated[
        dt.datetime | None, typer.Option("--day", formats=["%Y-%m-%d"], help="First day. Default: today.")
    ] = None,
    days: Annotated[int, typer.Option("--days", min=1, max=31, help="How many.")] = 1,
    timezone: Annotated[str, typer.Option("--timezone", metavar="ZONE", help="IANA time zone of the days.")] = "UTC",
    user: Annotated[
        list[str] | None, typer.Option("--user", metavar="ID", help="Technician, may be repeated. Default: all.")
    ] = None,
    viewer: Annotated[
        str, typer.Option("--viewer", metavar="ID", help="User whose own private entries are shown in full.")
    ] = "",
    ended: Annotated[bool, typer.Option("--ended", help="Shows what was cancelled or completed too.")] = False,
) -> None:
    """Draws who does what: hours across, technicians down; `!` marks double bookings."""
    wish = {
        "first_day": day and day.date(),
        "days": days,
        "timezone": timezone,
        "users": user or (),
        "viewer": viewer,
        "include_ended": ended,
    }
    told = _whole(environment.client(), wish)
    environment.output.answer(to_json(told), lambda: _draw(environment, told))


def _whole(client: Patchbay, wish: dict[str, Any]) -> v1.GetBoardResponse:
    told = client.board(**wish)
    while told.next_page_token:
        after = client.board(**wish, page_token=told.next_page_token)
        told.technicians += after.technicians
        told.next_page_token = after.next_page_token
    return told


def _draw(environment: Environment, told: v1.GetBoardResponse) -> None:
    output = environment.output
    for line in chart(told.technicians, _zone(told.timezone), output.width):
        output.pieces(line)
    if not told.technicians:
        output.notice("the tenant has no active technicians; `patchbay directory import` brings them")


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except ZoneInfoNotFoundError:
        raise Problem(f"this machine does not know the time zone {name}: install `tzdata`, or use --json") from None


def create_feed(
    environment: Environment,
    user: Annotated[str, typer.Argument(metavar="USER", help="Id of the technician.")],
    label: Annotated[str, typer.Option("--label", help="What it is for, such as the device.")] = "",
) -> None:
    """Creates a feed. Its address, which lets anybody read it, is shown this once, on standard output."""
    made = environment.client().feeds.create(user, label=label)
    output = environment.output
    shown = {"feed": to_json(made.feed), "path": made.path, "url": made.url}
    output.answer(shown, lambda: output.line(made.url or made.path))
    if not output.machine:
        output.notice(f"feed {made.feed.id}; this is the only time that its address is shown")
        if not made.url:
            output.notice("this is the path on the server's HTTP port; with PATCHBAY_PUBLIC_URL it tells the whole one")


def list_feeds(
    environment: Environment,
    user: Annotated[str, typer.Option("--user", metavar="ID", help="Only this technician's.")] = "",
) -> None:
    """Lists feeds, newest first, without their addresses."""
    found = environment.client().feeds.list(user=user)
    output = environment.output
    headings = ("feed", "technician", "label", "created", "read", "state")
    output.answer([to_json(feed) for feed in found], lambda: output.table(headings, map(_row, found)))


def _row(feed: v1.Feed) -> tuple[Any, ...]:
    state = "revoked" if feed.revoke_time else "active"
    return feed.id, feed.user_id, feed.label, _time(feed.create_time), _time(feed.last_read_time), state


def _time(at: dt.datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M}" if at else ""


def revoke_feed(
    environment: Environment, feed_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the feed.")]
) -> None:
    """Revokes a feed: its address answers nothing any more."""
    revoked = environment.client().feeds.revoke(feed_id)
    output = environment.output
    output.answer(to_json(revoked), lambda: output.line(f"feed {revoked.id} is revoked"))


command(feeds, "create")(create_feed)
command(feeds, "list")(list_feeds)
command(feeds, "revoke")(revoke_feed)
