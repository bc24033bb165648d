"""The simulated vendor's memory: built from a seed, changed by requests and by tests."""

import base64
import hashlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from sandbox.control import EffectLog, JsonObject, SeededWorld, StateError
from sandbox.control.records import build, update
from sandbox.teams.limits import Limits
from sandbox.teams.models import (
    Bot,
    Channel,
    Conversation,
    Directory,
    Installation,
    Message,
    Notification,
    Settings,
    Team,
    TeamsApp,
    User,
)
from sandbox.teams.tokens import Tokens
from sandbox.teams.vault import Vault

TABLES: dict[str, tuple[type, str]] = {
    "directories": (Directory, "id"),
    "bots": (Bot, "app_id"),
    "apps": (TeamsApp, "id"),
    "users": (User, "id"),
    "teams": (Team, "id"),
    "channels": (Channel, "id"),
    "installations": (Installation, "id"),
    "conversations": (Conversation, "id"),
}
"""Tables of a world by name: the record, and the field that identifies it."""


class World(SeededWorld):
    """Everything the vendor knows.

    Attributes:
        tables: The records by table name and identifier.
        messages: By id, oldest first.
        notifications: Oldest first; a chain has one.
    """

    def __init__(self, seed: JsonObject, vault: Vault, effects: EffectLog) -> None:
        super().__init__(effects)
        self.vault = vault
        self.settings = build(Settings, seed.get("settings", {}))
        self.tables: dict[str, dict[str, Any]] = {name: {} for name in TABLES}
        for name in TABLES:
            self._add(name, seed.get(name, []))
        self.messages: dict[str, Message] = {}
        self.notifications: list[Notification] = []
        self.tokens, self.limits = Tokens(vault.login), Limits()
        self._last_id = 0
        vault.ring.reset()
        vault.provide(self.bots.values())

    @property
    def directories(self) -> dict[str, Directory]:
        """By id."""
        return self.tables["directories"]

    @property
    def bots(self) -> dict[str, Bot]:
        """By application id."""
        return self.tables["bots"]

    @property
    def apps(self) -> dict[str, TeamsApp]:
        """By catalog id."""
        return self.tables["apps"]

    @property
    def teams(self) -> dict[str, Team]:
        """By id."""
        return self.tables["teams"]

    @property
    def channels(self) -> dict[str, Channel]:
        """By id."""
        return self.tables["channels"]

    @property
    def conversations(self) -> dict[str, Conversation]:
        """By id."""
        return self.tables["conversations"]

    def now(self) -> float:
        """Unix time as the vendor believes it."""
        return time.time() if self.settings.clock is None else self.settings.clock

    def next_id(self) -> str:
        """Id of a message: milliseconds, always later than the last."""
        self._last_id = max(self._last_id + 1, int(self.now() * 1000))
        return str(self._last_id)

    def directory(self, name: str) -> Directory | None:
        """The directory with this id or domain."""
        wanted = name.lower()
        return next((one for one in self.directories.values() if wanted in {one.id, one.domain.lower()}), None)

    def user(self, name: str) -> User | None:
        """The user with this object id, id of the channel, or (whatever its case) user principal name."""
        users: Iterable[User] = self.tables["users"].values()
        return next((one for one in users if name in {one.id, one.channel_id} or name.lower() == one.upn.lower()), None)

    def installed(self, bot: str, *, user: str = "", team: str = "") -> Iterator[Installation]:
        """Installations of the apps of a bot, for a user or in a team."""
        for one in self.tables["installations"].values():
            if self.apps[one.app].bot == bot and (one.user, one.team) == (user, team):
                yield one

    def install(self, app: TeamsApp, *, user: str = "", team: str = "") -> Installation:
        """Installs an app for a user or in a team; what is installed stays."""
        known = (one for one in self.installed(app.bot, user=user, team=team) if one.app == app.id)
        made = Installation(id=_opaque(app.id, user, team), app=app.id, user=user, team=team)
        found = next(known, made)
        self.tables["installations"][found.id] = found
        return found

    def open(self, bot: str, user: User) -> Conversation:
        """The chat of a bot and a user, which begins when it is first asked for."""
        for one in self.conversations.values():
            if (one.bot, one.user) == (bot, user.id):
                return one
        made = Conversation(id="a:1" + _opaque(bot, user.id), bot=bot, user=user.id)
        return self.conversations.setdefault(made.id, made)

    def snapshot(self) -> JsonObject:
        """The world as JSON; no credential is part of it."""
        return {
            "settings": asdict(self.settings),
            **{name: [asdict(record) for record in table.values()] for name, table in self.tables.items()},
            "messages": [asdict(one) for one in self.messages.values()],
            "notifications": [asdict(one) for one in self.notifications],
            "access_tokens": len(self.tokens),
            "signing_keys": [key.kid for key in self.vault.ring],
        }

    def change(self, wish: JsonObject) -> None:
        """Applies one `PATCH /_sandbox/state`; raises `StateError` at the first part that cannot be.

        The wish may have: `settings` (fields to set); any table (identifier to fields); `add_<table>` (records);
        `remove_<table>` (identifiers); `expire_tokens` (true); `rotate_keys` (`keep` or `drop` the old ones).
        """
        for name, part in wish.items():
            self._change(name, part)
        self.vault.provide(self.bots.values())
        if wish.get("expire_tokens"):
            self.tokens.clear()
        if "rotate_keys" in wish:
            self.vault.ring.rotate(wish["rotate_keys"])

    def _change(self, name: str, part: Any) -> None:
        verb, _, table = name.partition("_")
        if name == "settings":
            update(self.settings, part)
        elif name in TABLES:
            for wanted, changes in part.items():
                update(self._find(name, wanted), changes)
        elif verb == "add" and table in TABLES:
            self._add(table, part)
        elif verb == "remove" and table in TABLES:
            for wanted in part:
                self._find(table, wanted)
                del self.tables[table][wanted]
        elif (name, part) not in (("expire_tokens", True), ("rotate_keys", "keep"), ("rotate_keys", "drop")):
            raise StateError(f"the state has no part {name!r}, or it cannot be {part!r}")

    def _add(self, table: str, rows: Iterable[JsonObject]) -> None:
        kind, key = TABLES[table]
        made: list[Any] = [build(kind, given) for given in rows]
        self.tables[table].update({getattr(one, key): one for one in made})

    def _find(self, table: str, wanted: str) -> Any:
        if wanted not in self.tables[table]:
            raise StateError(f"{table} has no {wanted!r}")
        return self.tables[table][wanted]


def _opaque(*parts: str) -> str:
    """An id without meaning, the same for the same parts."""
    return base64.urlsafe_b64encode(hashlib.sha256("|".join(parts).encode()).digest()).decode().rstrip("=")
