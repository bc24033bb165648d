"""The simulated instance's memory: built from a seed, changed by requests and by tests."""

import asyncio
import copy
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any
from uuid import uuid4

from sandbox.control import EffectLog, JsonObject, SeededWorld, StateError
from sandbox.control.records import build, update
from sandbox.ninjaone.models import (
    Activity,
    Alert,
    ApiApp,
    Credential,
    Device,
    Organization,
    Script,
    Settings,
    User,
)
from sandbox.ninjaone.tokens import Grant, RefreshToken, Tokens
from sandbox.ninjaone.vault import Vault

TABLES: dict[str, tuple[type, str]] = {
    "apps": (ApiApp, "client_id"),
    "users": (User, "name"),
    "organizations": (Organization, "id"),
    "devices": (Device, "id"),
    "scripts": (Script, "name"),
    "stored_credentials": (Credential, "id"),
    "alerts": (Alert, "uid"),
}
"""Tables of a world by name: the record, and the field that identifies it."""

_FIRST_ACTIVITY = 900_100


class World(SeededWorld):
    """Everything the instance knows.

    Attributes:
        activities: Oldest first; of what a device does, `settings.activity_lag` late.
        tables: The records by table name and identifier.
    """

    editable = ("settings", "tables", "activities", "tokens")

    def __init__(self, seed: JsonObject, vault: Vault, effects: EffectLog) -> None:
        super().__init__(effects)
        self.vault = vault
        self.settings = build(Settings, seed.get("settings", {}))
        self.tables: dict[str, dict[Any, Any]] = {
            name: _records(kind, key, seed.get(name, [])) for name, (kind, key) in TABLES.items()
        }
        self.activities: list[Activity] = []
        self.tokens = Tokens()
        self._signed_in: set[str] = set()
        self.provide()

    @property
    def apps(self) -> dict[str, ApiApp]:
        """Client apps by id."""
        return self.tables["apps"]

    @property
    def users(self) -> dict[str, User]:
        """Technicians by name."""
        return self.tables["users"]

    @property
    def devices(self) -> dict[int, Device]:
        """Devices by id."""
        return self.tables["devices"]

    @property
    def scripts(self) -> dict[str, Script]:
        """Scripts and built-in actions by name."""
        return self.tables["scripts"]

    @property
    def alerts(self) -> dict[str, Alert]:
        """Triggered conditions by uid."""
        return self.tables["alerts"]

    def provide(self) -> None:
        """Makes missing credentials; to every new app that may refresh, the first user has signed in before."""
        self.vault.provide(self.apps.values())
        user = next(iter(self.users), "")
        for client_id, value in self.vault.refresh_tokens.items():
            if client_id in self.apps and client_id not in self._signed_in:
                self._signed_in.add(client_id)
                grant = Grant(client_id, (*self.apps[client_id].scopes, "offline_access"), user)
                self.tokens.refresh[value] = RefreshToken(grant)

    def later(self, seconds: float, then: Callable[[], None]) -> None:
        """Does something after simulated seconds; at once when there are none."""
        if seconds <= 0:
            then()
            return

        async def wait() -> None:
            await asyncio.sleep(seconds * self.settings.time_scale)
            then()

        self.background(wait())

    def note(self, device: Device, series: str, kind: str, status_code: str, name: str, **more: Any) -> None:
        """Writes the activity log, after the lag."""
        if not self.settings.activities:
            return
        at = time.time()

        def tell() -> None:
            number = self.activities[-1].id + 1 if self.activities else _FIRST_ACTIVITY
            self.activities.append(Activity(number, device.id, at, series, kind, status_code, name, **more))

        self.later(self.settings.activity_lag, tell)

    def clear_alert(self, alert: Alert) -> None:
        """Takes an alert away; a condition that lasts triggers again."""
        del self.alerts[alert.uid]
        if alert.lasting:
            again = copy.copy(alert)
            again.uid, again.created, again.updated = str(uuid4()), time.time(), time.time()
            self.alerts[again.uid] = again

    def snapshot(self) -> JsonObject:
        """The world as JSON; no credential is part of it."""
        return {
            "settings": asdict(self.settings),
            **{name: [asdict(record) for record in table.values()] for name, table in self.tables.items()},
            "activities": [asdict(one) for one in self.activities],
            "tokens": self.tokens.describe(self.settings),
            "running": len(self.tasks),
        }

    def change(self, wish: JsonObject) -> None:
        """Applies one `PATCH /_sandbox/state`; raises `StateError` at the first part that cannot be.

        The wish may have: `settings` (fields to set); any table (identifier to fields); `add_<table>` (records);
        `remove_<table>` (identifiers); `add_activities` (records without id); `expire_access_tokens` and
        `revoke_refresh_tokens` (true).
        """
        for name, part in wish.items():
            verb, _, table = name.partition("_")
            if name == "settings":
                update(self.settings, part)
            elif name == "expire_access_tokens":
                self.tokens.access.clear()
            elif name == "revoke_refresh_tokens":
                self.tokens.revoke()
            elif name == "add_activities":
                self._add_activities(part)
            elif name in TABLES:
                self._update(name, part)
            elif verb in {"add", "remove"} and table in TABLES:
                self._add(table, part) if verb == "add" else self._remove(table, part)
            else:
                raise StateError(f"the state has no part {name!r}")
        self.provide()

    def _add_activities(self, part: list[JsonObject]) -> None:
        for given in part:
            number = self.activities[-1].id + 1 if self.activities else _FIRST_ACTIVITY
            self.activities.append(build(Activity, {"id": number, "time": time.time(), **given}))

    def _update(self, table: str, part: JsonObject) -> None:
        for wanted, changes in part.items():
            update(self._find(table, wanted), changes)
            if table == "users" and not self.users[wanted].active:
                self.tokens.revoke(wanted)

    def _add(self, table: str, part: list[JsonObject]) -> None:
        kind, key = TABLES[table]
        self.tables[table].update(_records(kind, key, part))

    def _remove(self, table: str, part: list[Any]) -> None:
        for wanted in part:
            found = self._find(table, str(wanted))
            del self.tables[table][getattr(found, TABLES[table][1])]

    def _find(self, table: str, wanted: str) -> Any:
        for key, record in self.tables[table].items():
            if wanted in {str(key), getattr(record, "system_name", None)}:
                return record
        raise StateError(f"{table} has no {wanted!r}")


def _records(kind: type, key: str, rows: list[JsonObject]) -> dict[Any, Any]:
    made: list[Any] = [build(kind, given) for given in rows]
    return {getattr(one, key): one for one in made}
