"""Comparing an answer with a recorded one: same status, headers that matter, same shape, same fixed texts."""

import json
import re
from typing import Any

_HEADERS = ("content-type", "location", "allow", "www-authenticate", "vary")
_LITERAL = frozenset(
    {
        "action",
        "action_type",
        "agent",
        "agent_count",
        "agent_id",
        "alert_type",
        "alerts_count",
        "args",
        "category",
        "check_type",
        "client",
        "client_name",
        "code",
        "count",
        "custom_field",
        "detail",
        "due",
        "env_vars",
        "filename",
        "hostname",
        "id",
        "kb",
        "maintenance_mode",
        "monitoring_type",
        "name",
        "next",
        "pk",
        "plat",
        "policy",
        "previous",
        "resolved",
        "retcode",
        "script",
        "script_name",
        "script_type",
        "severity",
        "shell",
        "site_name",
        "snoozed",
        "status",
        "stderr",
        "stdout",
        "supported_platforms",
        "totp",
        "trmm_version",
        "type",
        "username",
    }
)
_TEMPORARY = re.compile(r"(?<=/srv/trmm)\w+")
_UNCOMPARED = re.compile(r"\$\.(run_cmd_placeholder_text\.|audit_logs\[\d+\]\.id$)")
"""Example commands we did not want to repeat; numbers that count actions beyond the recording."""
_TITLE = re.compile(r"<title>(.*?)</title>")


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    return type(value).__name__


def _same(real: Any, ours: Any) -> bool:
    """Equal, but for null and for the random part of a temporary file's name."""
    if real is None or ours is None:
        return True
    if isinstance(real, str) and isinstance(ours, str):
        return _TEMPORARY.sub("*", real) == _TEMPORARY.sub("*", ours)
    return bool(real == ours)


def _object(real: dict[str, Any], ours: dict[str, Any], where: str) -> list[str]:
    found = []
    if set(real) != set(ours):
        found.append(f"{where}: missing {sorted(set(real) - set(ours))}, surplus {sorted(set(ours) - set(real))}")
    for key in set(real) & set(ours):
        place = f"{where}.{key}"
        literal = key in _LITERAL and not _UNCOMPARED.match(place) and not isinstance(real[key], dict | list)
        if literal and not _same(real[key], ours[key]):
            found.append(f"{place}: {real[key]!r} became {ours[key]!r}")
        found += difference(real[key], ours[key], place)
    return found


def _array(real: list[Any], ours: list[Any], where: str) -> list[str]:
    if bool(real) != bool(ours):
        return [f"{where}: {len(real)} items became {len(ours)}"]
    found = []
    if all(isinstance(item, dict) and "agent_id" in item for item in real):
        wanted, got = ({item.get("agent_id") for item in items} for items in (real, ours))
        found += [] if wanted == got else [f"{where}: agents {wanted} became {got}"]
    for number, item in enumerate(ours):
        tries = [difference(one, item, f"{where}[{number}]") for one in real]
        found += tries[min(range(len(tries)), key=lambda one: len(tries[one]))]
    return found


def difference(real: Any, ours: Any, where: str = "$") -> list[str]:
    """What is different in shape or fixed text; null fits every type, numbers are one type."""
    if real is None or ours is None:
        return []
    if _kind(real) != _kind(ours):
        return [f"{where}: {_kind(real)} became {_kind(ours)}"]
    if isinstance(real, dict):
        return _object(real, ours, where)
    if isinstance(real, list):
        return _array(real, ours, where)
    return []


def _body(real: str, ours: str, content_type: str, status: int) -> list[str]:
    if content_type.startswith("text/html"):
        same = _TITLE.findall(real) == _TITLE.findall(ours)
        return [] if same else [f"page {_TITLE.findall(real)} became {_TITLE.findall(ours)}"]
    if not real:
        return [] if not ours else [f"an empty body became {ours!r}"]
    expected, got = json.loads(real), json.loads(ours)
    exact = isinstance(expected, str) or status >= 400
    if exact and expected != got:
        return [f"{expected!r} became {got!r}"]
    return difference(expected, got)


def _cookies(headers: dict[str, str]) -> set[str]:
    return set(re.findall(r"(csrftoken|sessionid)=", headers.get("set-cookie", "")))


def compare(real: dict[str, Any], status: int, headers: dict[str, str], body: str) -> list[str]:
    """Everything in which an answer deviates from the recorded response."""
    expected = {name.lower(): value for name, value in real["headers"].items()}
    found = [] if real["status"] == status else [f"status {real['status']} became {status}: {body[:200]}"]
    changed = [name for name in _HEADERS if expected.get(name) != headers.get(name)]
    found += [f"header {name}: {expected.get(name)!r} became {headers.get(name)!r}" for name in changed]
    if _cookies(expected) != _cookies(headers):
        found.append("cookies differ")
    if real["status"] == status:
        found += _body(real["body"], body, expected.get("content-type", ""), status)
    return found
