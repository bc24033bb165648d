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
_PERCENT = re.compile("%[0-9A-F]{2}")


class Masker:
    """Replaces every occurrence of known secrets in a text by `***`.

    Vendors repeat what they were sent in other spellings, so the JSON, URL, HTML and base64 forms of a secret are
    replaced too. Secrets shorter than 4 characters are not: they would mangle every text without hiding anything.
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
    yield base64.b64encode(secret.encode("utf-8", "replace")).decode("ascii").rstrip("=")
    if secret.isascii() and secret.isalnum():
        return
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield html.escape(secret)
    for quoted in (
        quote(secret, "", errors="replace"),
        quote(secret, errors="replace"),
        quote_plus(secret, errors="replace"),
    ):
        yield quoted
        yield _PERCENT.sub(lambda found: found[0].lower(), quoted)
