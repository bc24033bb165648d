"""A vendor's own words about an error, for people: out of JSON, out of HTML, or as they are."""

import html
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from server.sdk.http.response import HttpResponse
from server.sdk.masking import Masker

_LONGEST_TEXT: Final = 8_192
_TITLE = re.compile(r"<title[^<>]*>([^<]*)", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")
_HIDDEN = re.compile(r"<(script|style)\b[^<>]*>.*?</\1[^<>]*>", re.IGNORECASE | re.DOTALL)
_NAMES: Final = (
    "error",
    "error_description",
    "errorMessage",
    "message",
    "detail",
    "non_field_errors",
    "errors",
)


def vendor_text(response: HttpResponse, masker: Masker) -> str:
    """Returns the vendor's words: masked, JSON and HTML reduced to what they say, white space joined."""
    told = spoken(response)
    text = masker(response.text if told is None else told)[:_LONGEST_TEXT]
    if told is None and ("html" in response.headers.get("content-type", "") or text.lstrip()[:1] == "<"):
        title = _TITLE.search(text)
        text = html.unescape(title[1] if title and title[1].strip() else _TAG.sub(" ", _HIDDEN.sub(" ", text)))
    return masker(" ".join(text.split()))


def spoken(response: HttpResponse) -> str | None:
    """Returns what a JSON body says, without masking; None for a body that is not JSON."""
    try:
        return _words(json.loads(response.content))
    except (ValueError, RecursionError):
        return None


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return _of_object(value)
    if isinstance(value, list):
        return " ".join(filter(None, map(_words, value)))
    return value if isinstance(value, str) else json.dumps(value)


def _of_object(value: Mapping[str, Any]) -> str:
    """Objects say it under a name that many use, or per field; beside the former only lists and objects count."""
    named = [_words(value[name]) for name in _NAMES if value.get(name)]
    fields = [
        f"{name}: {_words(one)}"
        for name, one in value.items()
        if name not in _NAMES and (isinstance(one, list | Mapping) if named else one is not None)
    ]
    return "; ".join(filter(None, [*named, *fields]))
