"""Secrets that are planted, and how they are looked for."""

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, quote_plus

_SHORTEST = 8


def spellings(secret: str) -> Iterator[str]:
    """Returns how a text may spell a secret: plain, JSON once and twice, repr, URL, HTML, hexadecimal, base64."""
    raw = secret.encode()
    yield secret
    for ensure_ascii in (True, False):
        once = json.dumps(secret, ensure_ascii=ensure_ascii)[1:-1]
        yield once
        yield json.dumps(once)[1:-1]
    yield repr(secret)[1:-1]
    yield repr(raw)[2:-1]
    for quoted in (quote(secret, ""), quote(secret), quote_plus(secret)):
        yield quoted
        yield re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), quoted)
    yield html.escape(secret)
    yield raw.hex()
    yield raw.hex().upper()
    yield from _base64(raw)


def core(secret: str) -> str:
    """Returns a secret's longest run of letters and digits: it shows through any quoting, and after a cut."""
    runs: list[str] = re.findall(r"[A-Za-z0-9]+", secret)
    return max(runs, key=len, default="")


def _base64(raw: bytes) -> Iterator[str]:
    """The part of a base64 text that a secret in it makes certain, at each of the three places it may begin."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for offset in range(3):
            begin = (-offset) % 3
            whole = raw[begin : begin + (len(raw) - begin) // 3 * 3]
            yield encode(whole).decode()


class Search:
    """Looks for named secrets in texts and bytes.

    Args:
        secrets: Secret by name; each holds at least 8 letters and digits in a row.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        assert all(len(core(secret)) >= _SHORTEST for secret in secrets.values()), "too short to be certain of"
        self._wanted = {
            name: {one.encode() for text in (secret, core(secret)) for one in spellings(text)}
            for name, secret in secrets.items()
        }

    def __call__(self, places: Mapping[str, bytes]) -> list[tuple[str, str, str]]:
        """Returns place, name and surroundings of each secret that is found."""
        return [
            (place, name, _around(content, spelling))
            for place, content in places.items()
            for name, wanted in self._wanted.items()
            for spelling in sorted(wanted)
            if spelling in content
        ]


def _around(content: bytes, spelling: bytes) -> str:
    at = content.index(spelling)
    return content[max(0, at - 150) : at + len(spelling) + 50].decode(errors="replace")


def forms(secrets: Iterable[str]) -> str:
    """Returns a text that repeats secrets as careless vendors do: plain, for JSON, HTML and URLs, in codes."""
    told = []
    for secret in secrets:
        raw = secret.encode()
        told += [secret, json.dumps(secret), html.escape(secret), quote(secret, ""), quote_plus(secret), raw.hex()]
        told += [base64.b64encode(before + raw).decode() for before in (b"", b"user:")]
    return " | ".join(told)
