"""The simulated account's memory: built from a seed, changed by requests and by tests."""

import base64
import copy
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any, Literal

from sandbox.control import EffectLog, JsonObject, SeededWorld, StateError
from sandbox.control.records import build, update
from sandbox.levelio.vault import Vault

PARTS = {
    "include_operating_system": ("operating_system",),
    "include_cpus": ("cpus",),
    "include_memory": ("memory",),
    "include_disks": ("disks", "disk_partitions"),
    "include_network_interfaces": ("network_interfaces",),
    "include_motherboard": ("motherboard",),
    "include_security": ("security",),
}
"""Parts of a device that are told only when their flag is given."""

_FIELDS = {
    "groups": "id name parent_id custom_fields",
    "devices": "id hostname nickname role group_id tags flag maintenance_mode online notes manufacturer model"
    " architecture serial_number total_memory memory_slots cpu_cores last_logged_in_user last_reboot_time last_seen_at"
    " city country security_score platform " + " ".join(name for names in PARTS.values() for name in names),
    "tags": "id name",
    "custom_fields": "id name reference admin_only",
    "alerts": "id device_id device_hostname name description payload severity is_resolved started_at resolved_at",
    "updates": "id device_id device_hostname name description category version size kb_ids is_available error"
    " published_on installed_on",
    "automations": "id name description group_id group_name outcome steps",
    "triggers": "id name automation_id parameters requires_authorization_header conditions",
    "runs": "id automation_id automation_name device_id device_hostname status started_at ended_at steps outcome",
}
FINISHED = frozenset({"success", "warning", "error", "canceled"})


@dataclass(slots=True)
class Settings:
    """Switches of the simulated account, where the vendor's behaviour is not known or has changed.

    Attributes:
        bad_limit: What becomes of a `limit` outside 1 to 100.
        trigger_answer: What a trigger answers: the runs, or nothing at all.
        webhooks_answer: How webhook triggers are listed: in an envelope, or as a bare list.
        runs_move: Whether runs move one step each time they are read, or when a test says so.
        group_values_are_lost: Whether a value set for a group is answered with 200 and not stored.
    """

    bad_limit: Literal["clamp", "refuse"] = "clamp"
    trigger_answer: Literal["runs", "empty"] = "runs"
    webhooks_answer: Literal["page", "list"] = "page"
    runs_move: Literal["on_read", "by_test"] = "on_read"
    group_values_are_lost: bool = True


def gid(kind: str, number: int) -> str:
    """An id as Level makes them."""
    return base64.b64encode(f"gid://level/{kind}/{number}".encode()).decode().rstrip("=")


def now() -> str:
    """The time as Level tells it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class World(SeededWorld):
    """Everything the account knows.

    Attributes:
        tables: Rows of each table by id, oldest first.
        values: Values of custom fields.
        vault: Keys and tokens.
    """

    def __init__(self, seed: JsonObject, vault: Vault, effects: EffectLog) -> None:
        super().__init__(effects)
        self.vault = vault
        self.settings = build(Settings, seed.get("settings", {}))
        self.tables: dict[str, dict[str, JsonObject]] = {name: {} for name in _FIELDS}
        for name in _FIELDS:
            self._add(name, copy.deepcopy(seed.get(name, [])))
        self.values: list[JsonObject] = copy.deepcopy(seed.get("custom_field_values", []))
        self._numbers = count(900_001)
        vault.provide(self.tables["triggers"])

    def new_id(self, kind: str) -> str:
        """An id that was never used."""
        return gid(kind, next(self._numbers))

    def subtree(self, group_id: str) -> set[str]:
        """Ids of a group and of every group below it."""
        below = {group_id}
        children = [row["id"] for row in self.tables["groups"].values() if row.get("parent_id") == group_id]
        return below.union(*(self.subtree(child) for child in children))

    def lineage(self, group_id: str | None) -> Iterator[str]:
        """Names of a group and of every group above it, from below."""
        while group_id is not None and (row := self.tables["groups"].get(group_id)):
            yield row["name"]
            group_id = row.get("parent_id")

    def advance(self, run: JsonObject) -> None:
        """Move a run one step towards its end."""
        if run["status"] == "running":
            run.update(status=run["outcome"], ended_at=now())
        elif run["status"] == "queued":
            run["status"] = "running"

    def snapshot(self) -> JsonObject:
        """The world as JSON; no credential is part of it."""
        tables = {name: list(rows.values()) for name, rows in self.tables.items()}
        return copy.deepcopy({"settings": asdict(self.settings), **tables, "custom_field_values": self.values})

    def change(self, wish: JsonObject) -> None:
        """Apply one `PATCH /_sandbox/state`; raises `StateError` at the first part that cannot be.

        The wish may have: `settings` (fields to set); a table's name (objects: id to fields); `add_<table>` (arrays of
        rows); `remove_<table>` (arrays of ids); `advance_runs` (how many steps all runs move).
        """
        for name, part in wish.items():
            self._change_one(name, part)
        self.vault.provide(self.tables["triggers"])

    def _change_one(self, name: str, part: Any) -> None:
        verb, _, table = name.partition("_")
        if name == "settings":
            update(self.settings, part)
        elif name == "advance_runs":
            for run in [*self.tables["runs"].values()] * part:
                self.advance(run)
        elif name in self.tables:
            for wanted, fields in part.items():
                self.tables[name][wanted].update(_known(name, fields))
        elif verb == "add" and table in self.tables:
            self._add(table, part)
        elif verb == "remove" and table in self.tables:
            for wanted in part:
                del self.tables[table][wanted]
        else:
            raise StateError(f"the state has no part {name!r}")

    def _add(self, table: str, rows: list[JsonObject]) -> None:
        self.tables[table].update({row["id"]: _known(table, row) for row in rows})


def _known(table: str, fields: JsonObject) -> JsonObject:
    if unknown := set(fields) - set(_FIELDS[table].split()):
        raise StateError(f"{table} have no field {', '.join(sorted(unknown))}")
    return fields
