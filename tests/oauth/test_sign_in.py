"""The command line's sign-in: a real browser's part is played by a program that follows redirects."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

import asyncpg
import pytest

from server.cli import signing_in
from server.cli.exits import ExitCode
from server.gen.patchbay.v1 import identity_pb2
from tests.cli.conftest import Ended, patchbay
from tests.oauth.conftest import TOKEN_PATH, OAuth
from tests.support.ports import free_port
from tests.support.postgres import Fresh, apart
from tests.support.served import TENANT, Caller, ThreadedServer, settings_for

__all__ = ["patchbay"]

_BROWSER = """
import pathlib, sys, urllib.request
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlsplit
address = sys.argv[1]
if sys.argv[2:] == ["forge"]:
    back = parse_qs(urlsplit(address).query)["redirect_uri"][0]
    address = back + "?code=canary-forged-code&state=somebody-elses-state"
try:
    page = urllib.request.urlopen(address).read()
except HTTPError as error:
    page = error.read()
pathlib.Path(__file__).with_suffix(".seen").write_bytes(page)
"""


@pytest.fixture
def server(fresh: Fresh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server with a tenant that the command line finds by its environment."""

    async def prepare(target: str) -> None:
        caller = Caller(target)
        await caller("Identity/CreateTenant", identity_pb2.CreateTenantRequest(slug=TENANT))
        await caller.close()

    (tmp_path / "browser.py").write_text(_BROWSER)
    with ThreadedServer(settings_for(fresh, tmp_path), prepare) as running:
        assert running.handle is not None
        monkeypatch.setenv("PATCHBAY_SERVER", running.handle.target)
        monkeypatch.setenv("PATCHBAY_TENANT", TENANT)
        yield running.handle.target


def sign_in(oauth: OAuth, folder: Path, *options: str, browser: str = "") -> "subprocess.CompletedProcess[str]":
    """Runs `connections connect oauthlab --sign-in` in a process of its own, settings on standard input."""
    settings = {"instance_url": oauth.url, **oauth.control.credentials()}
    del settings["refresh_token"]
    command = [sys.executable, "-m", "server.cli", "connections", "connect", "oauthlab", "--sign-in", "--settings", "-"]
    return subprocess.run(
        [*command, "--plain-http", "--private-network", "127.0.0.0/8", *options],
        input=json.dumps(settings),
        env={**os.environ, "BROWSER": f"{sys.executable} {folder / 'browser.py'} %s {browser}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def stored(fresh: Fresh) -> list[dict[str, Any]]:
    """The connections of every tenant."""

    async def rows() -> list[dict[str, Any]]:
        connection = await asyncpg.connect(fresh.dsn)
        try:
            await connection.execute("SET patchbay.tenant = '*'")
            return [dict(row) for row in await connection.fetch("SELECT * FROM rmm_integrations")]
        finally:
            await connection.close()

    found: list[dict[str, Any]] = apart(rows())
    return found


def seen(folder: Path) -> str:
    """Returns the last page that the browser showed; it may still be loading."""
    page = folder / "browser.seen"
    for _ in range(500):
        if page.exists() and page.stat().st_size:
            break
        time.sleep(0.02)
    return page.read_text()


def test_a_person_signs_in_and_is_connected(
    server: str, oauth: OAuth, fresh: Fresh, tmp_path: Path, patchbay: Callable[..., Ended]
) -> None:
    """Page, code, exchange, check, row; the connection then works and renews, and no secret was shown."""
    done = sign_in(oauth, tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["active"] is True
    assert "You can close this window" in seen(tmp_path)
    assert oauth.control.effects().by_kind == {"authorization_code": 1}
    assert "canary" not in done.stdout + done.stderr + seen(tmp_path)
    [row] = stored(fresh)
    assert json.loads(row["settings"])["sign_in"].keys() == {"redirect_uri"}
    oauth.control.patch_state(expire=True)
    assert patchbay("connections", "test", "oauthlab").code == 0
    assert oauth.control.effects().by_kind == {"authorization_code": 1, "refresh_token": 1}


REFUSED = {
    "another state": ({}, "forge", "belongs to another sign-in"),
    "a person who refuses": ({"deny": True}, "", "access_denied (The person said no.)"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_sign_in_that_fails_stores_nothing(
    server: str, oauth: OAuth, fresh: Fresh, tmp_path: Path, case: str
) -> None:
    """The command says why and ends with 1; the server is not asked to connect; browser and vendor show no code."""
    changes, browser, told = REFUSED[case]
    oauth.control.patch_state(**changes)
    done = sign_in(oauth, tmp_path, browser=browser)
    assert done.returncode == ExitCode.ACTION_FAILED
    assert told in done.stderr
    assert "nothing was stored" in done.stderr
    assert "did not succeed" in seen(tmp_path)
    assert "canary" not in done.stdout + done.stderr + seen(tmp_path)
    assert oauth.asked() == 0
    assert stored(fresh) == []


def test_a_code_that_the_vendor_refuses_stores_nothing(server: str, oauth: OAuth, fresh: Fresh, tmp_path: Path) -> None:
    """The exchange fails at the server: the command shows the failure and its remedy."""
    refusal = {"error": "invalid_grant", "error_description": "too late"}
    oauth.control.add_fault("status", path_regex=TOKEN_PATH, status=400, body=refusal)
    done = sign_in(oauth, tmp_path)
    assert done.returncode == ExitCode.ACTION_FAILED
    assert "Connect the tool again." in done.stderr
    assert stored(fresh) == []


@pytest.fixture
def settings_file(oauth: OAuth, tmp_path: Path) -> str:
    """Settings in a file, as an argument."""
    file = tmp_path / "settings.json"
    file.write_text(json.dumps({"instance_url": oauth.url, "client_id": "lab-app", "client_secret": "x"}))
    return f"@{file}"


GRANT = ("--plain-http", "--private-network", "127.0.0.0/8")


def test_nobody_signs_in(
    server: str,
    oauth: OAuth,
    fresh: Fresh,
    settings_file: str,
    patchbay: Callable[..., Ended],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When time is over the command ends with 1; other requests to the port, such as for an icon, change nothing."""
    monkeypatch.setattr(signing_in, "PATIENCE", 1.0)
    port = free_port()
    asking = Thread(target=_ask_for_icons, args=(port,))
    asking.start()
    options = ("--sign-in", "--no-browser", "--redirect-port", str(port), "--settings", settings_file, "--json")
    ended = patchbay("connections", "connect", "oauthlab", *options, *GRANT)
    asking.join()
    assert ended.code == ExitCode.ACTION_FAILED
    assert f"redirect_uri=http%3A%2F%2F127.0.0.1%3A{port}%2F" in ended.lines[0]["url"]
    assert "nobody signed in" in ended.lines[-1]["error"]["message"]
    assert stored(fresh) == []


def _ask_for_icons(port: int) -> None:
    found = 0
    for _ in range(100):
        with suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/favicon.ico?state=x", timeout=1)
            except urllib.error.HTTPError as error:
                found = error.code
                error.close()
                break
        time.sleep(0.02)
    assert found == 404


def test_what_cannot_begin_is_told_at_once(
    server: str, oauth: OAuth, settings_file: str, patchbay: Callable[..., Ended], tmp_path: Path
) -> None:
    """A port that is taken, a tool without a sign-in, settings that break the contract: before any page opens."""
    sign_in = ("--sign-in", "--no-browser", "--settings", settings_file, *GRANT)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ended = patchbay("connections", "connect", "oauthlab", *sign_in, "--redirect-port", port)
    assert (ended.code, f"port {port}" in ended.err) == (ExitCode.BAD_INPUT, True)
    ended = patchbay("connections", "connect", "lab", *sign_in)
    assert (ended.code, "no sign-in" in ended.err) == (ExitCode.BAD_INPUT, True)
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps({"instance_url": oauth.url}))
    options = ("--sign-in", "--no-browser", "--settings", f"@{bad}", *GRANT, "--json")
    ended = patchbay("connections", "connect", "oauthlab", *options)
    assert ended.code == ExitCode.BAD_INPUT
    assert "settings.client_id" in ended.err


def test_at_a_terminal_only_the_other_settings_are_asked_for(
    server: str, oauth: OAuth, patchbay: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code and verifier are nobody's to type, and may not stand in an argument; an existing token can be given."""
    prompts: list[str] = []

    def answer(prompt: str) -> str:
        prompts.append(prompt)
        return oauth.control.credentials()["refresh_token" if "refresh" in prompt else "client_secret"]

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("server.cli.settings_form.getpass", answer)
    options = ("--set", f"instance_url={oauth.url}", "--set", "client_id=lab-app")
    ended = patchbay("connections", "connect", "oauthlab", *options, *GRANT)
    assert ended.code == 0, ended.err
    assert [prompt.partition("(")[2] for prompt in prompts] == ["client_secret): ", "refresh_token): "]
    refused = patchbay("connections", "connect", "oauthlab", "--set", "sign_in.code=canary")
    assert (refused.code, "canary" in refused.err) == (ExitCode.BAD_INPUT, False)
    assert "--sign-in" in patchbay("connections", "providers").out
