"""Removing secrets from texts."""

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from urllib.parse import quote, quote_plus

MASK = "***"
_SHORTEST = 4
_SHORTEST_CODED = 8
_PERCENT = re.compile("%[0-9A-F]{2}")
_UNDECIDED = (0, 2, 3)
_URL_SAFE = str.maketrans("+/", "-_")


class Masker:
    """Replaces every occurrence of known secrets in a text by `***`.

    Vendors repeat what they were sent in other spellings, so the JSON, HTML, URL, base64 and hexadecimal forms of a
    secret are replaced too. Secrets shorter than 4 characters are not: they would mangle every text without hiding
    anything.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = {secret for secret in secrets if len(secret) >= _SHORTEST}
        self._pattern: re.Pattern[str] | None = None

    def __repr__(self) -> str:
        return f"Masker({len(self._secrets)} secrets)"

    def add(self, secrets: Iterable[str]) -> None:
        """Learns further secrets, such as a token that was just obtained."""
        self._secrets.update(secret for secret in secrets if len(secret) >= _SHORTEST)
        self._pattern = None

    def __call__(self, text: str) -> str:
        """Returns the text without secrets."""
        if not self._secrets or not text:
            return text
        if self._pattern is None:
            self._pattern = _pattern(frozenset(self._secrets))
        return self._pattern.sub(MASK, text)


@lru_cache(maxsize=256)
def _pattern(secrets: frozenset[str]) -> re.Pattern[str]:
    """Returns what finds the secrets. Kept, because every execution of a connection has the same ones."""
    spellings = {spelling for secret in secrets for spelling in _spellings(secret)}
    return re.compile("|".join(map(re.escape, sorted(spellings, key=len, reverse=True))))


def _spellings(secret: str) -> Iterator[str]:
    yield secret
    raw = secret.encode("utf-8", "replace")
    yield from (raw.hex(), raw.hex().upper())
    yield from _base64(raw)
    if secret.isascii() and secret.isalnum():
        return
    yield from _quoted(secret, layers=3)
    for quoted in (
        quote(secret, "", errors="replace"),
        quote(secret, errors="replace"),
        quote_plus(secret, errors="replace"),
    ):
        yield quoted
        yield _PERCENT.sub(lambda found: found[0].lower(), quoted)


def _quoted(secret: str, layers: int) -> Iterator[str]:
    """JSON and HTML in any order: vendors wrap errors of others into their own."""
    for quoted in (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], html.escape(secret)):
        yield quoted
        if layers > 1 and quoted != secret:
            yield from _quoted(quoted, layers - 1)


def _base64(raw: bytes) -> Iterator[str]:
    """The secret's own base64, and the part of a longer one that only the secret decides, wherever it begins."""
    alone = base64.b64encode(raw).decode("ascii").rstrip("=")
    yield from (alone, alone.translate(_URL_SAFE))
    for before in range(3):
        coded = base64.b64encode(bytes(before) + raw)
        whole = 4 * ((before + len(raw)) // 3)
        part = coded[_UNDECIDED[before] : whole].decode("ascii")
        if len(part) >= _SHORTEST_CODED:
            yield from (part, part.translate(_URL_SAFE))
