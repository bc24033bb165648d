"""Labels for people, made from the names in a contract that gives none."""

import re
from typing import Final

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z0-9]*")
_SPELLED: Final = {"api": "API", "oauth": "OAuth", "url": "URL"}
_IDENTIFIER: Final = re.compile(r"_(?:uu?)?id(s?)$")


def rpc_label(name: str) -> str:
    """Returns the label of an rpc's action: `Find devices` of `FindDevices`."""
    return _label([word.lower() for word in _WORD.findall(name)])


def field_label(name: str) -> str:
    """Returns the label of a field: `API key` of `api_key`."""
    return _label(name.split("_"))


def thing_label(name: str) -> str:
    """Returns the label of a field whose value is chosen: what its ids are ids of, `Devices` of `device_ids`."""
    return field_label(_IDENTIFIER.sub(r"\1", name))


def _label(words: list[str]) -> str:
    first, *others = [_SPELLED.get(word, word) for word in words]
    return " ".join([first if first in _SPELLED.values() else first.capitalize(), *others])
