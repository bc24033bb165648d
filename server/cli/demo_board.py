"""The demo's part about the board: a technician is booked once, and everybody hears of it."""

import asyncio
import datetime as dt
import http.client
from collections.abc import Awaitable, Callable
from typing import Any, Final
from zoneinfo import ZoneInfo

from patchbay_client import Execution
from patchbay_client.gen.patchbay import v1

from server.cli.board_chart import chart
from server.cli.output import Output
from server.cli.problems import Problem, deviation, expect
from server.cli.staging import Stage

BOOK: Final = "scheduling.create_entry"
ZONE: Final = "UTC"
_DANA: Final = "7d0f2d1e-5a52-4a6f-9a51-0c7a5e1f1a01"
_LEE: Final = "7d0f2d1e-5a52-4a6f-9a51-0c7a5e1f1a02"
_TICKET: Final = "5a2d8f38-6f3e-4a51-8f6c-2f1f5f7a9b01"
_PATIENCE: Final = 30.0
_WIDTH: Final = 100


class BoardDemo:
    """Books, draws, and looks at what the webhook's receiver, the calendar and the feed have.

    Args:
        stage: What runs.
        output: Where the story goes.
    """

    def __init__(self, stage: Stage, output: Output) -> None:
        self._stage = stage
        self._call = stage.patchbay
        self._output = output
        self._day = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=1)

    async def play(self) -> dict[str, Any]:
        """Plays all steps and returns what `--json` shows.

        Raises:
            Problem: Something deviated.
            PatchbayError: A call was refused.
        """
        await self._fill_directory()
        entries = await self._book()
        told = {"entries": entries, "board": await self._draw(), **await self._heard(len(entries))}
        return {**told, "feed": await self._feed(len(entries))}

    async def _fill_directory(self) -> None:
        people = [(_DANA, "Dana", "Tech"), (_LEE, "Lee", "Field")]
        users = [
            v1.DirectoryUser(id=id, username=first.lower(), first_name=first, last_name=last, roles=["technician"])
            for id, first, last in people
        ]
        await self._call.directory.upsert_users(users)
        ticket = v1.DirectoryWorkItem(type="ticket", id=_TICKET, number="T-4217", title="Disk full on FS-01")
        await self._call.directory.upsert_work_items([ticket])
        mailbox = (await self._stage.vendors["microsoft365calendar"].control.state())["people"][0]
        await self._call.directory.link(_DANA, "microsoft", mailbox["id"], email=mailbox["upn"])
        await self._call.directory.set_calendar(_DANA, connected=True)

    async def _book(self) -> list[str]:
        """One visit is booked; the next one for the same time is refused, then shifted."""
        first = await self._execute("book", "Replace the disk of FS-01", "fail")
        expect(first.succeeded, f"not booked: {first.failure.message if first.failure else ''}")
        again = await self._execute("book", "Replace the disk of FS-01", "fail")
        expect((again.replayed, again.output) == (True, first.output), "the same key booked again")
        second = await self._execute("book twice", "Check the backups", "fail")
        failure = second.failure
        if failure is None or failure.reason != "CONFLICT":
            raise deviation("a technician was booked twice")
        third = await self._execute("book later", "Check the backups", "shift")
        expect(third.succeeded and third.output["shifted"], "the second visit was not shifted")
        entries = [first.output, third.output]
        self._say(
            "Booked Dana Tech for a ticket, once",
            f"entry {entries[0]['entry_id']}",
            f"at the same time again: {failure.reason}",
            f"shifted to the next free slot: {entries[1]['start']}",
        )
        return [str(entry["entry_id"]) for entry in entries]

    async def _execute(self, step: str, title: str, mode: str) -> Execution:
        start = dt.datetime.combine(self._day, dt.time(9), ZoneInfo(ZONE))
        window = {"start": start.isoformat(), "end": (start + dt.timedelta(minutes=90)).isoformat()}
        link = {"type": "ticket", "id": _TICKET}
        inputs = {"assigned_user_ids": [_DANA], "title": title, "window": window, "link": link, "conflict_mode": mode}
        return await self._call.execute(BOOK, inputs, run="demo", step=step, raise_on_failure=False)

    async def _draw(self) -> list[str]:
        board = await self._call.board(self._day, timezone=ZONE)
        shown = {one.name: [entry.title for entry in one.days[0].entries] for one in board.technicians}
        wanted = {"Dana Tech": ["Replace the disk of FS-01", "Check the backups"], "Lee Field": []}
        expect(shown == wanted, f"the board shows {shown}")
        lines = list(chart(board.technicians, ZoneInfo(ZONE), min(self._output.width, _WIDTH)))
        if not self._output.machine:
            self._output.line("The board of that day", style="bold")
            for line in lines:
                self._output.pieces(line)
        return ["".join(text for text, _ in line) for line in lines]

    async def _heard(self, entries: int) -> dict[str, Any]:
        """What the receiver of webhooks and the technician's calendar have: each entry once."""
        events = await _until(lambda: self._events("webhook", "event"), entries, "signed webhooks")
        written = await _until(lambda: self._events("microsoft365calendar", "create_event"), entries, "calendar events")
        subjects = sorted(str(one["detail"]["subject"]) for one in written)
        self._say(
            "Who has heard of it",
            f"the webhook's receiver: {len(events)} events, their signatures checked",
            f"Dana's Microsoft 365 calendar: {', '.join(subjects)}",
        )
        return {"webhooks": len(events), "calendar": subjects}

    async def _events(self, vendor: str, kind: str) -> list[Any]:
        found = (await self._stage.vendors[vendor].control.effects(kind=kind)).items
        return [one for one in found if one["detail"].get("type") != "patchbay.test"]

    async def _feed(self, entries: int) -> int:
        made = await self._call.feeds.create(_DANA, label="demo")
        text = await asyncio.to_thread(_get, self._stage.http_target, made.path)
        events = text.count("BEGIN:VEVENT")
        expect(events == entries, f"the feed has {events} events")
        await self._call.feeds.revoke(made.feed.id)
        self._say("Dana's calendar feed", f"{events} events, then revoked")
        return events

    def _say(self, title: str, *lines: str) -> None:
        self._output.story(title, *lines)


async def _until(look: Callable[[], Awaitable[list[Any]]], wanted: int, what: str) -> list[Any]:
    """Returns what is there as soon as all of it is."""
    deadline = asyncio.get_running_loop().time() + _PATIENCE
    while len(found := await look()) < wanted:
        if asyncio.get_running_loop().time() > deadline:
            raise deviation(f"{len(found)} {what} instead of {wanted}")
        await asyncio.sleep(0.1)
    return found


def _get(target: str, path: str) -> str:
    host, _, port = target.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=_PATIENCE)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read().decode()
    finally:
        connection.close()
    if answer.status != 200:
        raise Problem(f"the feed answered {answer.status}")
    return body
