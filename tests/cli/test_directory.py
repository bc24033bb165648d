"""`patchbay directory` against a real server."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from patchbay_client import Patchbay

from server.cli.exits import ExitCode
from server.cli.importing import BATCH
from tests.cli.conftest import Ended
from tests.support.served import PatchbayServer

Run = Callable[..., Ended]
A, B, C = (str(uuid4()) for _ in range(3))
HEADER = "id,username,email,first_name,last_name,roles,timezone,active\n"
DANA = f"{A},dana,dana@msp.test,Dana,Rivera,technician;dispatcher,Europe/Vienna,yes\n"


@pytest.fixture
def shell(patchbay: Run, patchbay_server: PatchbayServer, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command line for the tenant of a running server."""
    monkeypatch.setenv("PATCHBAY_SERVER", patchbay_server.target)
    monkeypatch.setenv("PATCHBAY_API_KEY", patchbay_server.api_key)
    monkeypatch.setenv("PATCHBAY_TENANT", patchbay_server.tenant)
    return patchbay


@pytest.fixture
def imported(shell: Run, tmp_path: Path) -> Callable[..., Ended]:
    """Imports a text, or bytes, as a file."""

    def called(content: str | bytes, *options: str) -> Ended:
        file = tmp_path / "sheet.csv"
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return shell("directory", "import", str(file), *options)

    return called


def users(shell: Run) -> list[dict[str, Any]]:
    """The users as the server tells them, as JSON."""
    listed: list[dict[str, Any]] = shell("directory", "list", "--json").json.get("users", [])
    return listed


def test_users_are_imported(imported: Run, shell: Run) -> None:
    """A row is a user; the second import changes them, empty cells keep, `-` takes away."""
    first = imported(HEADER + DANA)
    assert (first.code, first.out) == (0, "users: 1 new, 0 there before\n")
    again = imported(f"id,email,timezone,active,roles\n{A},,-,NO,-\n", "--json")
    assert again.json == {"kind": "users", "created": 0, "updated": 1}
    (user,) = users(shell)
    assert (user["username"], user["email"], user["first_name"]) == ("dana", "dana@msp.test", "Dana")
    assert not user.get("roles")
    assert not user.get("timezone")
    assert not user.get("active")


def test_the_list_is_a_table(imported: Run, shell: Run) -> None:
    """Names, roles and state are shown; `--technicians` leaves others out."""
    imported(HEADER + DANA + f"{B},bo,,,,,,\n")
    everybody = shell("directory", "list").out
    assert "Dana Rivera" in everybody
    assert "dispatcher, technician" in everybody
    assert "bo" in everybody.split()
    assert B not in shell("directory", "list", "--technicians").out


def test_work_items_are_imported(imported: Run, shell: Run) -> None:
    """A sheet with types and titles holds tickets and project tasks."""
    rows = f'ticket,{A},T-1,"Printer, on fire",false\nproject_task,{B},,Racks,true\n'
    ended = imported("type,id,number,title,closed\n" + rows)
    assert ended.out == "work items: 2 new, 0 there before\n"
    shown = shell("directory", "work-items", "--query", "printer")
    assert "Printer, on fire" in shown.out
    assert "Racks" not in shown.out
    assert [item["title"] for item in shell("directory", "work-items", "--json").json["work_items"]] == [
        "Racks",
        "Printer, on fire",
    ]


def test_what_spreadsheets_write_is_read(imported: Run, shell: Run) -> None:
    """A byte-order mark, semicolons, Windows line ends, quoted line breaks and empty lines are no obstacle."""
    rows = f'{A};ann;"Ann\r\nMarie";"technician;lead";TRUE\r\n;;;;\r\n{B};bo;Bö;;WAHR\r\n'
    bad = imported(b"\xef\xbb\xbf" + f"ID;Username;First Name;Roles;Active\r\n{rows}".encode())
    assert bad.code == ExitCode.BAD_INPUT
    assert "line 5, active: 'WAHR' is neither true nor false" in bad.err
    good = imported(b"\xef\xbb\xbf" + f"ID;Username;First Name;Roles;Active\r\n{rows.replace('WAHR', '1')}".encode())
    assert good.code == 0, good.err
    found = {user["username"]: user for user in users(shell)}
    assert found["ann"]["roles"] == ["lead", "technician"]
    assert found["bo"]["first_name"] == "Bö"


def test_standard_input_is_read(shell: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` is standard input."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO((HEADER + DANA).encode())))
    assert shell("directory", "import", "-").code == 0
    assert [user["id"] for user in users(shell)] == [A]


BAD_SHEETS = {
    "empty": ("", "is empty; its first line should name the columns"),
    "header only": (HEADER, "has no rows below its header"),
    "unknown column": ("id,user_name\n", "has unknown columns user_name; users have: id, username, email"),
    "no id": ("username\nx\n", "has no column id"),
    "twice": ("id,email,EMAIL\n", "the header has twice: email"),
    "no title": ("type,id\n", "has no column title; work items have: type, id, number, title, closed"),
    "cells": (HEADER + f"{A},x\n", "line 2: has 2 cells, the header has 8"),
    "quote": (f'id,username\n{A},"x\n', "is no CSV: unexpected end of data"),
    "bytes": (b"id,username\n\xff\xfe,x\n", "is not UTF-8 text; in a spreadsheet save it as CSV UTF-8"),
}


@pytest.mark.parametrize("name", BAD_SHEETS)
def test_a_bad_sheet_is_refused(imported: Run, peer: Any, name: str) -> None:
    """The message says what is wrong with the file, and the server is not asked."""
    content, told = BAD_SHEETS[name]
    ended = imported(content)
    assert ended.code == ExitCode.BAD_INPUT
    assert told in ended.err
    assert peer.calls == []


def test_a_file_that_is_not_there(shell: Run, tmp_path: Path) -> None:
    """The message names the file and why it cannot be read."""
    ended = shell("directory", "import", str(tmp_path / "none.csv"))
    assert ended.code == ExitCode.BAD_INPUT
    assert "none.csv cannot be read: No such file or directory" in ended.err


def test_every_bad_row_is_reported(imported: Run, shell: Run) -> None:
    """Mistakes that can be seen here are told at once, with line and column; nothing is imported."""
    rows = f"x,one,yes\n{A},two,maybe\n,three,no\n{B},four,no\n{B.upper()},four,no\n"
    ended = imported(f"id,username,active\n{rows}")
    assert ended.code == ExitCode.BAD_INPUT
    assert "5 mistakes, nothing was imported" in ended.err
    for told in (
        "line 2, id: 'x' is no UUID",
        "line 3, active: 'maybe' is neither true nor false",
        "line 4, id: is empty",
        "line 6, id: stands on line 5 already",
        "line 6, username: stands on line 5 already",
    ):
        assert told in ended.err
    assert users(shell) == []


def test_what_the_server_refuses_has_its_line(imported: Run, shell: Run) -> None:
    """Zones, addresses and taken login names are told with line and column; `--json` has them as detail."""
    imported(HEADER + DANA)
    rows = f"{B},dana,,,\n\n{C},x,no address,Mars/Olympus,\n"
    ended = imported(f"id,username,email,timezone,roles\n{rows}", "--json")
    assert ended.code == ExitCode.BAD_INPUT
    assert "line 4, email: must be empty or an e-mail address" in ended.lines[-1]["error"]["detail"]
    rows = rows.replace("no address", "")
    assert "line 4, timezone: is no IANA time zone" in imported(f"id,username,email,timezone,roles\n{rows}").err
    rows = rows.replace("Mars/Olympus", "")
    taken = imported(f"id,username,email,timezone,roles\n{rows}").err
    assert f"line 2, username: belongs to user {A} already" in taken
    assert [user["id"] for user in users(shell)] == [A]


def numbered(count: int) -> list[str]:
    """Rows of users."""
    return [f"{uuid4()},user-{number},technician,UTC" for number in range(count)]


def test_a_long_file_is_all_or_nothing(imported: Run, shell: Run, patchbay_server: PatchbayServer) -> None:
    """More rows than fit into a call: a mistake in the last one is found before the first is stored."""
    rows = numbered(2 * BATCH + 5)
    header = "id,username,roles,timezone\n"
    bad = imported(header + "\n".join([*rows[:-1], rows[-1].replace("UTC", "Mars")]))
    assert bad.code == ExitCode.BAD_INPUT
    assert f"line {len(rows) + 1}, timezone: is no IANA time zone" in bad.err
    assert users(shell) == []
    good = imported(header + "\n".join(rows), "--json")
    assert good.json == {"kind": "users", "created": len(rows), "updated": 0}
    with Patchbay(patchbay_server.target, api_key=patchbay_server.api_key, tenant=patchbay_server.tenant) as client:
        assert len(client.directory.users(page_size=500, technicians_only=True).users) == 500


def test_a_person_is_linked_and_their_calendar_connected(imported: Run, shell: Run) -> None:
    """Users are named by id or login name; each step says what it did."""
    imported(HEADER + DANA)
    refused = shell("directory", "calendar", "dana", "on")
    assert (refused.code, "Link the user's account first" in refused.err) == (ExitCode.BAD_INPUT, True)
    linked = shell("directory", "link", "dana", "microsoft", C, "--email", "dana@msp.test")
    assert linked.out == f"Dana Rivera is {C} at microsoft\n"
    assert shell("directory", "calendar", A, "on").out == "the calendar of Dana Rivera is connected\n"
    assert shell("directory", "calendar", "dana", "off").out == "the calendar of Dana Rivera is disconnected\n"
    shown = json.loads(shell("directory", "deactivate", "dana", "--json").out)
    assert not shown["user"].get("active")
    assert shown["user"]["accounts"][0]["account_id"] == C
    assert shell("directory", "deactivate", "dana").out == "Dana Rivera is inactive\n"


@pytest.mark.parametrize("name", ["nobody", B], ids=["name", "id"])
def test_an_unknown_user_is_not_found(shell: Run, name: str) -> None:
    """By login name and by id."""
    assert shell("directory", "deactivate", name).code == ExitCode.NOT_FOUND
