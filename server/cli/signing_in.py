"""A sign-in in the browser: PKCE, and a listener on this machine that the vendor sends the browser back to.

RFC 8252 sections 7.3 and 8. The command line only carries the code to the server, which exchanges it: no token ever
comes here.
"""

import webbrowser
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from hmac import compare_digest
from http.server import BaseHTTPRequestHandler, HTTPServer
from secrets import token_urlsafe
from threading import Thread
from time import monotonic
from typing import Any
from urllib.parse import parse_qs, urlsplit

from server.cli.exits import ExitCode
from server.cli.output import Output
from server.cli.problems import Problem

PATIENCE = 300.0
"""Seconds that a person has for signing in."""

_REQUEST_SECONDS = 10.0
_PAGE = "<!doctype html><title>Patchbay</title><p>{}</p>"
_DONE = "This part is done. You can close this window and go back to the command line."
_FAILED = "The sign-in did not succeed. The command line says why."


@dataclass(frozen=True, slots=True)
class Pledge:
    """What ties the answer to this sign-in: `state` comes back, `verifier` is known to nobody else."""

    state: str = field(default_factory=lambda: token_urlsafe(32), repr=False)
    verifier: str = field(default_factory=lambda: token_urlsafe(48), repr=False)

    @property
    def challenge(self) -> str:
        """The verifier's PKCE challenge of kind S256."""
        return urlsafe_b64encode(sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()


def sign_in(
    output: Output, begin: Callable[[str, Pledge], str], *, port: int = 0, browser: bool = True
) -> dict[str, str]:
    """Has a person sign in and returns the AuthorizationCode as JSON.

    Args:
        output: Where to show the address.
        begin: Asks the server for the address, given redirect address and pledge.
        port: Port to listen on. 0: a free one.
        browser: Whether to open the address.

    Raises:
        Problem: The port is taken, nobody signed in within 5 minutes, or the vendor answered with an error.
    """
    pledge = Pledge()
    with _listening(port) as listener:
        address = begin(listener.redirect_uri, pledge)
        output.notice(f"sign in at {address}", url=address)
        if browser:
            # A browser for terminals does not return before it has been sent back to us.
            Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        with output.waiting("waiting for the sign-in"):
            answer = listener.wait(pledge.state, PATIENCE)
    return {"code": _code(answer), "code_verifier": pledge.verifier, "redirect_uri": listener.redirect_uri}


def _code(answer: dict[str, str]) -> str:
    if error := answer.get("error"):
        said = answer.get("error_description", "")
        told = f"the vendor refused the sign-in: {error}{f' ({said})' if said else ''}; nothing was stored"
        raise Problem(told, ExitCode.ACTION_FAILED)
    if not answer.get("code"):
        raise Problem("the vendor answered the sign-in without a code; nothing was stored", ExitCode.ACTION_FAILED)
    return answer["code"]


def _listening(port: int) -> "_Listener":
    try:
        return _Listener(port)
    except (OSError, OverflowError):
        raise Problem(f"port {port} of 127.0.0.1 cannot be listened on; choose another --redirect-port") from None


class _Listener(HTTPServer):
    """Waits on loopback for the browser to come back."""

    def __init__(self, port: int) -> None:
        self.answer: dict[str, str] | None = None
        self.state = ""
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def redirect_uri(self) -> str:
        """Where the vendor sends the browser back to."""
        return f"http://127.0.0.1:{self.server_port}/"

    def wait(self, state: str, seconds: float) -> dict[str, str]:
        """Returns the answer to the sign-in that began with a state."""
        self.state, ends = state, monotonic() + seconds
        while self.answer is None:
            self.timeout = ends - monotonic()
            if self.timeout <= 0:
                raise Problem("nobody signed in in time; nothing was stored", ExitCode.ACTION_FAILED)
            self.handle_request()
        if not self.belongs(self.answer):
            told = "the answer belongs to another sign-in (its state is not ours); nothing was stored"
            raise Problem(told, ExitCode.ACTION_FAILED)
        return self.answer

    def belongs(self, answer: dict[str, str]) -> bool:
        """Whether an answer is to the sign-in that was begun here."""
        return compare_digest(answer.get("state", "").encode(), self.state.encode())

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing: whatever else knocks at the port is not the browser."""


class _Handler(BaseHTTPRequestHandler):
    """Takes the code from the address; shows nothing of it."""

    server: _Listener
    timeout = _REQUEST_SECONDS

    def do_GET(self) -> None:
        """Answers the browser; only the redirect address counts."""
        parts = urlsplit(self.path)
        answer = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path != "/" or not {"code", "error"} & answer.keys():
            self._show(404, "Nothing is here.")
            return
        self.server.answer = answer
        good = "code" in answer and self.server.belongs(answer)
        self._show(200 if good else 400, _DONE if good else _FAILED)

    def _show(self, status: int, text: str) -> None:
        page = _PAGE.format(text).encode()
        self.send_response(status)
        for name, value in (
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Length", str(len(page))),
            ("Cache-Control", "no-store"),
            ("Referrer-Policy", "no-referrer"),
            ("Connection", "close"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is http.server's
        """Logs nothing: the address holds the code."""
