"""No secret in failures, logs, representations or traces."""

import base64
import html
import json
import logging
import traceback
from urllib.parse import quote

import pytest

from server.sdk.failures import ActionFailure
from server.sdk.http import HttpPool
from server.sdk.masking import Masker
from server.sdk.scope import entered
from tests.sdk.conftest import LOOPBACK, SECRET, Names, scope
from tests.sdk.vendor import Act, Received, Step, answer, vendor

STEPS: dict[str, Step] = {
    "reset": Act.RESET,
    "silence": Act.HANG,
    "no HTTP": (b"nonsense\r\n\r\n", Act.CLOSE),
    "half an answer": (answer(200, b"{", length=50), Act.RESET),
    "redirect": answer(302, b"", f"Location: http://10.0.0.1/?k={SECRET}"),
    "echo": lambda received: answer(400, json.dumps(received.headers) + received.path + received.body.decode()),
    "500": answer(500, SECRET),
    "success": answer(),
}


def everything(error: BaseException) -> str:
    """Returns all that a careless logger could print of an exception: chain, arguments, attributes, local variables."""
    parts: list[str] = []
    one: BaseException | None = error
    while one is not None:
        parts += [str(one), repr(one), repr(one.args), repr(vars(one))]
        parts += traceback.format_exception(one)
        one = one.__cause__ or one.__context__
    return "\n".join(parts)


@pytest.mark.anyio
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS.keys())
async def test_secret_leaves_only_to_the_vendor(
    pool: HttpPool, caplog: pytest.LogCaptureFixture, step: Step, method: str
) -> None:
    """A secret in header, query and body is in no failure and no log record at any level."""
    caplog.set_level(logging.DEBUG)
    async with vendor(step) as server, entered(scope()):
        client = pool.client(LOOPBACK).bind(base_url=server.url, headers={"Authorization": f"Bearer {SECRET}"})
        told = repr(client)
        try:
            answered = await client.request(
                method, "/x", params={"key": SECRET}, json={"password": SECRET}, headers={"X-Key": SECRET}, timeout=0.4
            )
            told += repr(answered)
        except ActionFailure as failure:
            told += everything(failure)
    assert SECRET not in told
    assert SECRET not in caplog.text
    assert SECRET in server.requests[0].path


@pytest.mark.anyio
@pytest.mark.parametrize("url", ["http://nobody.example.test", "http://127.0.0.1:9", "http://10.0.0.1"])
async def test_secret_stays_when_nobody_is_reached(
    pool: HttpPool, names: Names, caplog: pytest.LogCaptureFixture, url: str
) -> None:
    """Failures before a connection tell no secret either."""
    caplog.set_level(logging.DEBUG)
    async with entered(scope()):
        with pytest.raises(ActionFailure) as raised:
            await ask(pool, url)
    assert SECRET not in everything(raised.value)
    assert SECRET not in caplog.text


async def ask(pool: HttpPool, url: str) -> None:
    """Binds and sends with secrets everywhere."""
    client = pool.client(LOOPBACK).bind(base_url=url, headers={"X-Key": SECRET})
    await client.request("GET", "/", params={"key": SECRET}, timeout=1)


HARD = 'pa"ss\\wörd/&<+> %41'


@pytest.mark.parametrize(
    "spelled",
    [
        HARD,
        json.dumps(HARD)[1:-1],
        json.dumps(HARD, ensure_ascii=False)[1:-1],
        quote(HARD),
        quote(HARD, safe=""),
        quote(HARD, safe="").lower().replace("%2b", "%2b"),
        html.escape(HARD),
        base64.b64encode(HARD.encode()).decode(),
    ],
)
def test_every_spelling_of_a_secret_is_masked(spelled: str) -> None:
    """JSON, URL, HTML and base64 forms are recognised."""
    assert Masker([HARD])(f"<{spelled}>").rstrip("=>") == "<***"


def test_longest_secret_wins_and_short_ones_stay() -> None:
    """A secret within another leaves no rest; three letters are no secret."""
    masker = Masker(["abcd", "abcdefgh", "xyz", ""])
    assert masker("abcdefgh abcd xyz") == "*** *** xyz"


def test_masker_learns() -> None:
    """A token obtained later is masked from then on; the representation shows none."""
    masker = Masker()
    assert masker("token-1") == "token-1"
    masker.add(["token-1"])
    masker.add(["token-22", "t"])
    assert masker("token-1 token-22 t") == "*** *** t"
    assert "token" not in repr(masker)


def test_received_is_used() -> None:
    """The echoing vendor repeats what it was sent, so that the test above means something."""
    echo = STEPS["echo"]
    assert callable(echo)
    assert SECRET.encode() in echo(Received("GET", f"/{SECRET}", {}, b"", 1))
