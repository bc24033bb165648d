"""Which request suffers which fault."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from sandbox.control.records import build
from sandbox.control.simulator import JsonObject, StateError

KINDS = ("delay", "hang", "status", "reset_before", "reset_after", "garbage", "huge_body", "truncate")
_NO_EFFECT_BY_DEFAULT = frozenset({"status", "reset_before"})


@dataclass(frozen=True, slots=True)
class Match:
    """Requests a fault applies to.

    Attributes:
        method: HTTP method, any when None.
        path_regex: Searched in the path, any when None.
        times: How many matching requests suffer it; 0 means all, until removed.
        skip: How many matching requests pass unharmed first.
    """

    method: str | None = None
    path_regex: str | None = None
    times: int = 1
    skip: int = 0


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to a matching request.

    Attributes:
        kind: One of `KINDS`.
        seconds: How long a delay lasts.
        status: Status of the answer for `status`, `garbage`, `huge_body`, `truncate`.
        body: JSON value, or text, of the answer.
        headers: Extra headers of the answer.
        bytes: Size of a garbage or huge body; for `truncate`, how many bytes the headers promise too much.
        after: Whether the simulated vendor handles the request first, so that its effect happens. None takes what is
            natural for the kind: no effect for `status` and `reset_before`, an effect for all others.
    """

    kind: str
    seconds: float = 0.0
    status: int | None = None
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    bytes: int | None = None
    after: bool | None = None

    @property
    def effect_happens(self) -> bool:
        """Whether the application handles the request although the client never gets its proper answer."""
        if self.kind in {"reset_before", "reset_after"}:
            return self.kind == "reset_after"
        return self.kind not in _NO_EFFECT_BY_DEFAULT if self.after is None else self.after


@dataclass(slots=True, eq=False)
class Rule:
    """A registered fault with its counters."""

    id: int
    match: Match
    fault: Fault
    left: int
    skip_left: int
    pattern: re.Pattern[str] | None
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def applies(self, method: str, path: str) -> bool:
        """Whether method and path match; counters are not looked at."""
        if self.match.method is not None and self.match.method.upper() != method:
            return False
        return self.pattern is None or self.pattern.search(path) is not None

    def describe(self) -> JsonObject:
        """The rule as JSON."""
        shown = {name: getattr(self.match, name) for name in Match.__slots__}
        fault = {name: getattr(self.fault, name) for name in Fault.__slots__}
        return {"id": self.id, "match": shown, "fault": fault, "left": self.left, "skip_left": self.skip_left}


class FaultBook:
    """Registered faults in order of registration; the first that applies is taken."""

    def __init__(self) -> None:
        self._ids = count(1)
        self._rules: dict[int, Rule] = {}
        self._held: dict[int, Rule] = {}

    def add(self, wish: JsonObject) -> int:
        """Register `{match, fault}`.

        Returns:
            The rule's id.

        Raises:
            StateError: The wish has unknown fields, an unknown kind or an invalid pattern.
        """
        match, fault = build(Match, wish.get("match", {})), build(Fault, wish.get("fault", {}))
        if fault.kind not in KINDS:
            raise StateError(f"fault kind must be one of {', '.join(KINDS)}")
        try:
            pattern = re.compile(match.path_regex) if match.path_regex else None
        except re.error as error:
            raise StateError(f"path_regex: {error}") from None
        rule = Rule(next(self._ids), match, fault, match.times, match.skip, pattern)
        self._rules[rule.id] = rule
        return rule.id

    def take(self, method: str, path: str) -> Rule | None:
        """The fault this request suffers, its counters updated."""
        for rule in self._rules.values():
            if not rule.applies(method, path):
                continue
            if rule.skip_left:
                rule.skip_left -= 1
                continue
            return self._spend(rule)
        return None

    def _spend(self, rule: Rule) -> Rule:
        if rule.match.times:
            rule.left -= 1
            if rule.left <= 0:
                del self._rules[rule.id]
        return rule

    @contextmanager
    def holding(self, rule: Rule) -> Iterator[None]:
        """Keep a spent rule reachable while a request hangs on it, so that removing it lets the request go."""
        self._held[rule.id] = rule
        try:
            yield
        finally:
            self._held.pop(rule.id, None)

    def remove(self, rule_id: int) -> bool:
        """Remove one rule and let the requests hanging on it go; False when there is no such rule."""
        found = [rules.pop(rule_id) for rules in (self._rules, self._held) if rule_id in rules]
        for rule in found:
            rule.released.set()
        return bool(found)

    def clear(self) -> None:
        """Remove every rule."""
        for rule_id in [*self._rules, *self._held]:
            self.remove(rule_id)

    def describe(self) -> list[JsonObject]:
        """Rules that may still hit a request."""
        return [rule.describe() for rule in self._rules.values()]
