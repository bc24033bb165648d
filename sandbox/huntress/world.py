"""The simulated vendor's memory: accounts with their organizations, agents and incident reports."""

import base64
import secrets
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sandbox.control import EffectLog, JsonObject, SeededWorld, StateError
from sandbox.control.records import build, update
from sandbox.huntress.models import Account, Agent, IncidentReport, Key, Organization, Settings

TABLES: Mapping[str, type] = {
    "accounts": Account,
    "organizations": Organization,
    "agents": Agent,
    "incident_reports": IncidentReport,
}


class World(SeededWorld):
    """Everything the vendor knows.

    Attributes:
        settings: Behaviour that tests switch.
        keys: By their `Authorization` value.
        tables: By name, then by id.
        pages: What an issued page token stands for.
    """

    def __init__(self, seed: JsonObject, vault: "Vault", effects: EffectLog) -> None:
        super().__init__(effects)
        self.settings = build(Settings, seed.get("settings", {}))
        self.keys = {vault.header(key.name): key for key in (build(Key, one) for one in seed.get("keys", []))}
        self.tables: dict[str, dict[int, Any]] = {name: {} for name in TABLES}
        for name in TABLES:
            self._add(name, seed.get(name, []))
        self.pages: dict[str, tuple[str, int]] = {}
        self._arrivals: defaultdict[int, deque[float]] = defaultdict(deque)

    def _add(self, table: str, rows: Iterable[JsonObject]) -> None:
        self.tables[table] |= {given["id"]: build(TABLES[table], given) for given in rows}

    def now(self) -> float:
        """Unix time as the vendor believes it."""
        return time.time() if self.settings.clock is None else self.settings.clock

    def stamp(self) -> str:
        """The time as the vendor writes it."""
        return datetime.fromtimestamp(self.now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def admit(self, account_id: int) -> bool:
        """Count a request of an account, unless its window is full."""
        arrivals, now = self._arrivals[account_id], self.now()
        while arrivals and arrivals[0] <= now - self.settings.rate_window:
            arrivals.popleft()
        if len(arrivals) >= self.settings.rate_limit:
            return False
        arrivals.append(now)
        return True

    def complete_remediations(self) -> None:
        """Let approved remediations that had their time be completed."""
        for report in self.tables["incident_reports"].values():
            for one in report.remediations:
                if one.status == "approved" and one.approved_at and self._due(one.approved_at):
                    one.status, one.completed_at = "completed", self.stamp()

    def _due(self, approved_at: str) -> bool:
        return self.now() - datetime.fromisoformat(approved_at).timestamp() >= self.settings.completion_seconds

    def snapshot(self) -> JsonObject:
        """The world as JSON; no credential is part of it."""
        tables = {name: [asdict(row) for row in table.values()] for name, table in self.tables.items()}
        return {"settings": asdict(self.settings), "keys": [asdict(key) for key in self.keys.values()], **tables}

    def change(self, wish: JsonObject) -> None:
        """Apply `settings`, tables (`{id: fields}`) and `add_<table>` (rows). Raises `StateError`."""
        for name, part in wish.items():
            if name == "settings":
                update(self.settings, part)
            elif name.removeprefix("add_") in TABLES and name.startswith("add_"):
                self._add(name.removeprefix("add_"), part)
            elif name in TABLES:
                self._update(name, part)
            else:
                raise StateError(f"there is no {name!r} to change")

    def _update(self, table: str, wishes: Mapping[str, JsonObject]) -> None:
        for id, fields in wishes.items():
            row = self.tables[table].get(int(id))
            if row is None:
                raise StateError(f"{table} has no {id}")
            update(row, fields)


class Vault:
    """Keys and secrets by the key's name, kept apart from the world so that no state listing can show them.

    They survive a reset.

    Args:
        names: Of the keys there are.
        given: `{name: {"api_key": ..., "api_secret": ...}}`; whatever is missing is made at random.
    """

    def __init__(self, names: Iterable[str], given: JsonObject) -> None:
        self.pairs = {name: given.get(name) or _new_pair() for name in names}

    def header(self, name: str) -> str:
        """The `Authorization` value of a key."""
        pair = self.pairs[name]
        return "Basic " + base64.b64encode(f"{pair['api_key']}:{pair['api_secret']}".encode()).decode()


def _new_pair() -> dict[str, str]:
    return {"api_key": f"hk_{secrets.token_hex(12)}", "api_secret": f"hs_{secrets.token_hex(16)}"}
