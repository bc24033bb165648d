"""Remembering received requests without ever holding a credential."""

import hashlib
import re
import time
from collections import deque
from itertools import count
from typing import Any

from starlette.types import Scope

_KEPT = 10_000
_BODY_BYTES = 4096
_MASKED_HEADERS = frozenset({"authorization", "x-api-key", "cookie"})
_SHOWN_HEADERS = frozenset({"accept", "content-length", "content-type", "host", "user-agent", "idempotency-key"})
_SCHEMES = frozenset({"Basic", "Bearer", "Token"})
_NAMES = rb"password|twofactor|client_secret|refresh_token|access_token|api_key|client_assertion"
_JSON_SECRET = re.compile(rb'("(?:' + _NAMES + rb')"\s*:\s*)(?:"(?:[^"\\]|\\.)*"|[^,}\s]+)')
_FORM_SECRET = re.compile(rb"((?:^|&)(?:" + _NAMES + rb")=)[^&]*")


def fingerprint(value: str) -> str:
    """How a credential is shown: its scheme, and enough of its SHA-256 to tell two apart; nothing to log in with."""
    scheme = value.partition(" ")[0]
    shown = f"{scheme} " if scheme in _SCHEMES and scheme != value else ""
    return f"{shown}sha256:" + hashlib.sha256(value.encode("latin-1")).hexdigest()[:16]


def mask_body(body: bytes) -> str:
    """The body as text, secret fields replaced, cut at 4 KiB."""
    masked = _FORM_SECRET.sub(rb"\1***", _JSON_SECRET.sub(rb'\1"***"', body))
    return masked[:_BODY_BYTES].decode(errors="replace")


def _shown(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    shown = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if name in _MASKED_HEADERS:
            shown[name] = fingerprint(value)
        elif name in _SHOWN_HEADERS:
            shown[name] = value
    return shown


class RequestLog:
    """The newest 10,000 requests."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything; sequence numbers start at 1 again."""
        self._seq = count(1)
        self._items: deque[dict[str, Any]] = deque(maxlen=_KEPT)

    def open(self, scope: Scope, body: bytes) -> dict[str, Any]:
        """Note a request; the caller sets `status` (and `fault`) on the returned entry when they are known."""
        entry = {
            "seq": next(self._seq),
            "at": time.time(),
            "method": scope["method"],
            "path": scope["path"],
            "query": scope["query_string"].decode("latin-1"),
            "header_names": [name.decode("latin-1") for name, _ in scope["headers"]],
            "headers": _shown(scope["headers"]),
            "body": mask_body(body),
            "status": None,
            "fault": None,
        }
        self._items.append(entry)
        return entry

    def newest(self, limit: int) -> list[dict[str, Any]]:
        """At most `limit` entries, oldest first."""
        return list(self._items)[-limit:] if limit > 0 else []
