"""The device filter `df`: terms joined by AND. Facts: third parties' readings of the vendor's article."""

import re
from collections.abc import Callable

from sandbox.control.wire import Refused
from sandbox.ninjaone.models import Device
from sandbox.ninjaone.wire import failed

Term = Callable[[Device], bool]

_TERM = re.compile(
    r"(?P<key>[a-z]+)\s*(?P<operator>=|!=|<>|\beq\b|\bneq\b|\bin\b|\bnotin\b|\bnin\b|!in)\s*(?P<value>.+)"
)
_NEGATIVE = frozenset({"!=", "<>", "neq", "notin", "nin", "!in"})
_KEYS: dict[str, Callable[[Device], object]] = {
    "org": lambda device: device.organization,
    "organization": lambda device: device.organization,
    "loc": lambda device: device.location,
    "location": lambda device: device.location,
    "role": lambda device: device.role,
    "id": lambda device: device.id,
    "class": lambda device: device.node_class,
    "status": lambda device: device.approval,
}


def chosen(devices: list[Device], df: str) -> list[Device]:
    """The devices that a filter keeps; without a status term only approved ones. Raises 400 for what is no filter."""
    terms = [_term(text) for text in re.split(r"\s+AND\s+", df.strip())] if df.strip() else []
    if not re.search(r"\bstatus\b", df):
        terms.append(lambda device: device.approval == "APPROVED")
    return [device for device in devices if all(term(device) for term in terms)]


def _term(text: str) -> Term:
    if text in {"online", "offline"}:
        return lambda device: device.offline == (text == "offline")
    found = _TERM.fullmatch(text.strip())
    if found is None or found["key"] not in _KEYS:
        raise _invalid(text)
    read, negative = _KEYS[found["key"]], found["operator"] in _NEGATIVE
    values = {one.strip().strip("'\"") for one in found["value"].strip("() ").split(",")}
    if " " in "".join(values):
        raise _invalid(text)
    return lambda device: (str(read(device)) in values) != negative


def _invalid(text: str) -> Refused:
    return failed(400, "INVALID_DEVICE_FILTER", f"Invalid device filter: {text}")
