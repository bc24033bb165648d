"""The simulated Tactical RMM server's memory: built from a seed, changed by requests and by tests."""

import copy
from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from itertools import count
from typing import Any, TypeVar

from sandbox.control import EffectLog, JsonObject, SeededWorld, StateError
from sandbox.control.records import build, update
from sandbox.tacticalrmm.models import (
    Agent,
    ApiKey,
    Behaviour,
    Client,
    HistoryRow,
    Role,
    Script,
    Settings,
    Site,
    User,
)
from sandbox.tacticalrmm.sessions import Sessions
from sandbox.tacticalrmm.vault import Vault

_T = TypeVar("_T")
AuditEntry = tuple[datetime, str, str, Agent, str, Any, Any]
_AUDIT_KEPT = 1000
_TABLES = ("clients", "sites", "roles", "users", "keys", "agents", "scripts")


def _records(kind: type[_T], seed: JsonObject, name: str, key: str) -> dict[Any, _T]:
    made = [build(kind, given) for given in seed.get(name, [])]
    return {getattr(one, key): one for one in made}


class World(SeededWorld):
    """Everything the server knows.

    Attributes:
        agents: By 40-letter identifier.
        scripts: By integer id.
        history: Rows by the agent's integer id, oldest first.
        alerts, checks, winupdates: Vendor rows as JSON objects by integer id.
    """

    editable = ("settings", *_TABLES, "commands", "custom_fields", "alerts", "checks", "winupdates")

    def __init__(self, seed: JsonObject, vault: Vault, effects: EffectLog) -> None:
        super().__init__(effects)
        self.vault = vault
        self.settings = build(Settings, seed.get("settings", {}))
        self.clients: dict[int, Client] = _records(Client, seed, "clients", "id")
        self.sites: dict[int, Site] = _records(Site, seed, "sites", "id")
        self.roles: dict[str, Role] = _records(Role, seed, "roles", "name")
        self.users: dict[str, User] = _records(User, seed, "users", "name")
        self.keys: dict[str, ApiKey] = _records(ApiKey, seed, "keys", "name")
        self.agents: dict[str, Agent] = _records(Agent, seed, "agents", "agent_id")
        self.scripts: dict[int, Script] = _records(Script, seed, "scripts", "id")
        self.commands = {text: build(Behaviour, given) for text, given in seed.get("commands", {}).items()}
        self.custom_fields: list[int] = list(seed.get("custom_fields", []))
        self.alerts = self._rows(seed, "alerts")
        self.checks = self._rows(seed, "checks")
        self.winupdates = self._rows(seed, "winupdates")
        self.pending: dict[int, JsonObject] = {}
        self.notes: list[JsonObject] = []
        self.audit: deque[AuditEntry] = deque(maxlen=_AUDIT_KEPT)
        self.history: defaultdict[int, list[HistoryRow]] = defaultdict(list)
        self.sessions = Sessions()
        self.logins: defaultdict[str, list[float]] = defaultdict(list)
        self.ids: defaultdict[str, count[int]] = defaultdict(lambda: count(1))
        vault.provide(self.users.values(), self.keys.values())

    @staticmethod
    def _rows(seed: JsonObject, name: str) -> dict[int, JsonObject]:
        return {row["id"]: copy.deepcopy(row) for row in seed.get(name, [])}

    def site_of(self, agent: Agent) -> Site:
        """The agent's site."""
        return self.sites[agent.site]

    def client_of(self, agent: Agent) -> Client:
        """The agent's client."""
        return self.clients[self.site_of(agent).client]

    def agent_by_pk(self, pk: int) -> Agent | None:
        """The agent with this integer key."""
        return next((agent for agent in self.agents.values() if agent.id == pk), None)

    def add_history(self, row: HistoryRow) -> None:
        """Append a row, dropping the oldest beyond the limit."""
        rows = self.history[row.agent]
        rows.append(row)
        if len(rows) > self.settings.history_limit:
            del rows[: len(rows) - self.settings.history_limit]

    def snapshot(self) -> JsonObject:
        """The world as JSON; no credential is part of it."""
        return {
            "settings": asdict(self.settings),
            "clients": _shown(self.clients.values()),
            "sites": _shown(self.sites.values()),
            "roles": _shown(self.roles.values()),
            "users": _shown(self.users.values()),
            "keys": _shown(self.keys.values()),
            "agents": _shown(self.agents.values()),
            "scripts": _shown(self.scripts.values()),
            "commands": {text: asdict(behaviour) for text, behaviour in self.commands.items()},
            "history_rows": sum(len(rows) for rows in self.history.values()),
            "running": len(self.tasks),
        }

    def change(self, wish: JsonObject) -> None:
        """Applies one `PATCH /_sandbox/state`; see `Change` for what can be wished."""
        Change(self).apply(wish)


def _shown(records: Iterable[Any]) -> list[JsonObject]:
    return [asdict(record) for record in records]


class Change:
    """Applies one `PATCH /_sandbox/state` to a world.

    The wish may have: `settings` (fields to set); `agents`, `scripts`, `users`, `keys`, `roles`, `clients`, `sites`
    (objects: identifier or name to fields); `add_agents`, `add_scripts`, `add_users`, `add_keys`, `add_roles`,
    `add_clients`, `add_sites` (arrays of records); `commands` (text to behaviour); `custom_fields` (ids);
    `add_alerts`, `add_checks`, `add_winupdates` (vendor rows); `remove_agents` (identifiers).
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._tables: dict[str, tuple[type, dict[Any, Any], str, str]] = {
            "agents": (Agent, world.agents, "agent_id", "hostname"),
            "scripts": (Script, world.scripts, "id", "name"),
            "users": (User, world.users, "name", "name"),
            "keys": (ApiKey, world.keys, "name", "name"),
            "roles": (Role, world.roles, "name", "name"),
            "clients": (Client, world.clients, "id", "name"),
            "sites": (Site, world.sites, "id", "name"),
        }

    def apply(self, wish: JsonObject) -> None:
        """Apply everything. Raises `StateError` at the first part that cannot be."""
        for name, part in wish.items():
            self._apply_one(name, part)
        self._world.vault.provide(self._world.users.values(), self._world.keys.values())

    def _apply_one(self, name: str, part: Any) -> None:
        world = self._world
        if name == "settings":
            update(world.settings, part)
        elif name == "commands":
            world.commands.update({text: build(Behaviour, given) for text, given in part.items()})
        elif name == "custom_fields":
            world.custom_fields = list(part)
        elif name == "remove_agents":
            for wanted in part:
                world.agents.pop(self._find("agents", wanted).agent_id)
        elif name in self._tables:
            for wanted, changes in part.items():
                update(self._find(name, wanted), changes)
        else:
            self._add(name, part)

    def _add(self, name: str, part: Any) -> None:
        table = name.removeprefix("add_")
        if name == table:
            raise StateError(f"the state has no part {name!r}")
        if table in {"alerts", "checks", "winupdates"}:
            rows: dict[int, JsonObject] = getattr(self._world, table)
            rows.update({row["id"]: row for row in part})
        elif table in self._tables:
            kind, records, key, _ = self._tables[table]
            for given in part:
                record: Any = build(kind, self._numbered(given, key, records))
                records[getattr(record, key)] = record
        else:
            raise StateError(f"the state has no part {name!r}")

    @staticmethod
    def _numbered(given: JsonObject, key: str, records: dict[Any, Any]) -> JsonObject:
        taken = [record.id for record in records.values() if hasattr(record, "id")]
        return given if key == "name" or "id" in given else {"id": max(taken, default=0) + 1, **given}

    def _find(self, name: str, wanted: str) -> Any:
        _, records, key, label = self._tables[name]
        for record in records.values():
            if wanted in {str(getattr(record, key)), getattr(record, label)}:
                return record
        raise StateError(f"{name} has no {wanted!r}")
