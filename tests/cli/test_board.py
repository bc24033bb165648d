"""`patchbay board` and `patchbay feeds`: what is drawn, asked and told."""

import datetime as dt
from collections.abc import Callable
from zoneinfo import ZoneInfo

import grpc
import pytest
from patchbay_client.gen.patchbay import v1

from server.cli.board_chart import chart
from server.cli.exits import ExitCode
from server.gen.patchbay.v1 import dispatch_pb2 as pb
from tests.cli.conftest import Ended
from tests.cli.peer import ID, Peer, Refuses
from tests.client.playing import because

Run = Callable[..., Ended]
UTC = ZoneInfo("UTC")
DAY = dt.datetime(2027, 3, 1, tzinfo=dt.UTC)


def bar(title: str, start: float, end: float, *conflicts: str, **more: object) -> v1.BoardEntry:
    """A bar from one hour to another; its title is its id."""
    times = {"start": DAY + dt.timedelta(hours=start), "end": DAY + dt.timedelta(hours=end)}
    return v1.BoardEntry(entry_id=title, title=title, conflicts_with=list(conflicts), **{**times, **more})


def row(name: str, *bars: v1.BoardEntry, start: dt.datetime = DAY, hours: float = 24) -> v1.BoardTechnician:
    """A technician with one day."""
    end = start + dt.timedelta(hours=hours)
    day = v1.BoardDay(day=start.strftime("%Y-%m-%d"), start=start, end=end, entries=list(bars))
    return v1.BoardTechnician(user_id=name, name=name, days=[day])


def texts(*rows: v1.BoardTechnician, width: int = 100, zone: ZoneInfo = UTC) -> list[str]:
    """The lines of a chart without their styles."""
    return ["".join(text for text, _ in line) for line in chart(rows, zone, width)]


def test_bars_stand_below_their_hours() -> None:
    """Four columns an hour: a bar begins below its hour, has its title, and ends where it ends."""
    heading, ruler, ann, ben = texts(row("Ann", bar("Router", 9, 13)), row("Ben"), width=4 + 96)
    assert heading == "Monday 2027-03-01, UTC"
    assert ruler.index("09") == ann.index("[") == 4 + 9 * 4
    assert ann[4:].strip("·") == "[Router--------]"
    assert ben == "Ben " + "·" * 96


def test_conflicts_are_marked_without_colour() -> None:
    """Shared time is drawn with `!`, and told below with both titles and times; touching bars are no conflict."""
    ann = row("Ann", bar("One", 9, 11, "Two"), bar("Two", 10, 12, "One"), bar("Three", 12, 13))
    _, _, drawn, told = texts(ann, width=4 + 96)
    assert drawn[4:].strip("·") == "[On]!!!![Tw][Th]"
    assert told == "! Ann: 09:00-11:00 One and 10:00-12:00 Two"


def test_what_has_ended_gives_way() -> None:
    """A cancelled bar is drawn with `x`, and what replaced it in front of it."""
    ann = row("Ann", bar("Gone", 9, 12, has_ended=True, status="cancelled"), bar("New", 11, 12))
    assert texts(ann, width=4 + 96)[2][4:].strip("·") == "[Gonexx][Ne]"


@pytest.mark.parametrize("width", [20, 40, 59])
def test_a_narrow_terminal_gets_a_list(width: int) -> None:
    """Below 60 columns each day is a list with times and marks."""
    ann = row("Ann", bar("One", 9, 11, "Two"), bar("Two", 10, 12, "One"))
    assert texts(ann, row("Ben"), width=width) == [
        "Monday 2027-03-01, UTC",
        "Ann",
        "! 09:00-11:00 One",
        "! 10:00-12:00 Two",
        "Ben",
        "  free",
        "! Ann: 09:00-11:00 One and 10:00-12:00 Two",
    ]


@pytest.mark.parametrize("width", [60, 61, 80, 133, 300])
@pytest.mark.parametrize("hours", [23, 24, 25])
def test_every_row_fills_the_terminal(width: int, hours: int) -> None:
    """Rows are as wide as the terminal, whatever lies on them: short, long, wide letters, over midnight."""
    bars = [bar("漢字漢字漢字", -3, 1), bar("x", 2, 2.01), bar("A title that is far too long", 3, 4), bar("z", 22, 30)]
    lines = texts(row("Ann with a very long name that no column holds", *bars, hours=hours), row("B"), width=width)
    assert {len(line) + sum(line.count(wide) for wide in "漢字") for line in lines[2:4]} == {width}


def test_the_ruler_shows_the_clock_of_the_zone() -> None:
    """On the day of the spring change in Vienna there is no hour 02, and the heading says that it has 23."""
    start = dt.datetime(2027, 3, 27, 23, tzinfo=dt.UTC)
    told = row("Ann", start=start, hours=23)
    told.days[0].day = "2027-03-28"
    heading, ruler, _ = texts(told, width=4 + 92, zone=ZoneInfo("Europe/Vienna"))
    assert heading == "Sunday 2027-03-28, Europe/Vienna, 23 hours"
    assert ruler.split() == ["00", "01", *(f"{hour:02}" for hour in range(3, 24))]


def test_board_puts_pages_together(peer: Peer, patchbay: Run) -> None:
    """All pages are asked for with the same wish and drawn as one; names cannot steer the terminal."""

    def answer(request: pb.GetBoardRequest, _context: grpc.ServicerContext) -> pb.GetBoardResponse:
        name = "Ben" if request.page_token else "Ann\x1b[31m"
        told = pb.GetBoardResponse(first_day="2027-03-01", days=1, timezone="UTC")
        told.technicians.add(user_id=ID, name=name).days.add(day="2027-03-01")
        told.technicians[0].days[0].start.FromDatetime(DAY)
        told.technicians[0].days[0].end.FromDatetime(DAY + dt.timedelta(days=1))
        told.next_page_token = "" if request.page_token else "next"
        return told

    peer.tell("GetBoard", answer)
    ended = patchbay(
        "board", "--day", "2027-03-01", "--days", "2", "--user", ID, "--user", ID, "--viewer", ID, "--ended"
    )
    assert ended.code == ExitCode.OK, ended.err
    assert [line[:4] for line in ended.out.splitlines()[2:]] == ["Ann\\", "Ben "]
    assert "\x1b[31m" not in ended.out
    first, second = peer.asked("GetBoard")
    assert (first.first_day, first.days, list(first.user_ids), first.viewer_id) == ("2027-03-01", 2, [ID, ID], ID)
    assert first.include_ended
    assert second.page_token == "next"
    told = patchbay("board", "--json").json
    assert [one["name"] for one in told["technicians"]] == ["Ann\x1b[31m", "Ben"]


def test_board_without_technicians_says_so(peer: Peer, patchbay: Run) -> None:
    """An empty board is no empty answer: what brings technicians is named."""
    peer.tell("GetBoard", pb.GetBoardResponse(timezone="UTC", days=1))
    ended = patchbay("board")
    assert (ended.code, ended.out) == (ExitCode.OK, "")
    assert "directory import" in ended.err


def test_board_refuses_what_is_no_day(peer: Peer, patchbay: Run) -> None:
    """A day that is none is bad input, without a call."""
    assert patchbay("board", "--day", "2027-02-30").code == ExitCode.BAD_INPUT
    assert patchbay("board", "--days", "32").code == ExitCode.BAD_INPUT
    assert peer.calls == []


def test_feeds_create_shows_the_address_once(peer: Peer, patchbay: Run) -> None:
    """The whole address, or the path where none is known, stands alone on standard output."""
    feed = pb.Feed(id=ID, user_id=ID, label="Phone")
    peer.tell(
        "CreateFeed", pb.CreateFeedResponse(feed=feed, path="/feeds/s.ics", url="https://p.example.com/feeds/s.ics")
    )
    ended = patchbay("feeds", "create", ID, "--label", "Phone")
    assert (ended.code, ended.out) == (ExitCode.OK, "https://p.example.com/feeds/s.ics\n")
    assert "/feeds/" not in ended.err
    (request,) = peer.asked("CreateFeed")
    assert (request.user_id, request.label) == (ID, "Phone")
    peer.tell("CreateFeed", pb.CreateFeedResponse(feed=feed, path="/feeds/s.ics"))
    ended = patchbay("feeds", "create", ID)
    assert ended.out == "/feeds/s.ics\n"
    assert "PATCHBAY_PUBLIC_URL" in ended.err
    assert patchbay("feeds", "create", ID, "--json").json["path"] == "/feeds/s.ics"


def test_feeds_list_and_revoke(peer: Peer, patchbay: Run) -> None:
    """Lists have state and last reading; a feed that is unknown ends as such."""
    read = pb.Feed(id=ID, user_id=ID, label="Phone")
    read.last_read_time.FromDatetime(DAY)
    gone = pb.Feed(id="gone", user_id=ID)
    gone.revoke_time.FromDatetime(DAY)
    peer.tell("ListFeeds", pb.ListFeedsResponse(feeds=[read, gone]))
    lines = patchbay("feeds", "list", "--user", ID).out.splitlines()
    assert [line.split()[-1] for line in lines] == ["state", "active", "revoked"]
    assert "2027-03-01 00:00" in lines[1]
    assert peer.asked("ListFeeds")[0].user_id == ID
    peer.tell("RevokeFeed", pb.RevokeFeedResponse(feed=gone))
    assert patchbay("feeds", "revoke", ID).out == "feed gone is revoked\n"
    peer.tell("RevokeFeed", Refuses(grpc.StatusCode.NOT_FOUND, "There is no such feed.", because("FEED_UNKNOWN")))
    assert patchbay("feeds", "revoke", ID).code != ExitCode.OK
