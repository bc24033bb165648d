"""The simulated directory, its mailboxes and the events in them."""

import secrets
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sandbox.control import EffectLog, JsonObject, SeededWorld, StateError
from sandbox.control.records import build, update
from sandbox.microsoft365calendar.models import Person, Settings, Stored
from sandbox.microsoft365calendar.occurrences import occurrences


class World(SeededWorld):
    """Everything but the credentials.

    Args:
        seed: See `seeds/demo.json`.
        effects: Where changes are counted.
    """

    editable = ("settings", "people", "events", "transactions", "tokens")

    def __init__(self, seed: JsonObject, effects: EffectLog) -> None:
        super().__init__(effects)
        self.tenant_id: str = seed["tenant_id"]
        self.app_id: str = seed["app_id"]
        self.settings = build(Settings, seed.get("settings", {}))
        self.people = [build(Person, one) for one in seed["people"]]
        self.events: dict[str, Stored] = {}
        self.transactions: dict[tuple[str, str], Stored] = {}
        self.tokens: dict[str, float] = {}

    def person(self, name: str) -> Person | None:
        """The person with an object id or sign-in address."""
        return next((one for one in self.people if name.lower() in {one.id, one.upn.lower()}), None)

    def add(self, owner: Person, calendar: str, body: JsonObject) -> Stored:
        """Stores a new event."""
        marks = {one["id"]: one["value"] for one in body.get("singleValueExtendedProperties", [])}
        told = {"transactionId", "singleValueExtendedProperties"}
        content = {name: value for name, value in body.items() if name not in told}
        created = datetime.now(UTC).isoformat()
        stored = Stored(_new_id(), owner.id, calendar, created, body, content, marks)
        self.events[stored.id] = stored
        if body.get("transactionId") and self.settings.remembers:
            self.transactions[owner.id, body["transactionId"]] = stored
        self.effects.record("create_event", stored.id, {"owner": owner.id, "subject": content["subject"]})
        return stored

    def edit(self, stored: Stored, body: JsonObject) -> None:
        """Changes an event. A series that is told again has its deleted instances back."""
        content = {**stored.content, **body}
        if content != stored.content:
            self.effects.record("update_event", stored.id, {"owner": stored.owner, "subject": content["subject"]})
        if "recurrence" in body:
            stored.cut = []
        stored.content = content

    def remove(self, stored: Stored, *, by_person: bool = False) -> None:
        """Deletes an event."""
        del self.events[stored.id]
        if not self.settings.remembers_deleted:
            self.transactions = {key: one for key, one in self.transactions.items() if one is not stored}
        if not by_person:
            self.effects.record("delete_event", stored.id, {"owner": stored.owner})

    def move(self, stored: Stored, calendar: str) -> None:
        """Moves an event to another calendar, as a person does it; it gets another id."""
        del self.events[stored.id]
        stored.id, stored.calendar = _new_id(), calendar
        self.events[stored.id] = stored

    def cut(self, stored: Stored, day: str) -> None:
        """Deletes one instance of a series."""
        stored.cut.append(day)
        self.effects.record("delete_instance", stored.id, {"day": day})

    def issue(self) -> str:
        """A new access token."""
        value = secrets.token_urlsafe(40)
        self.tokens[value] = time.time() + self.settings.token_seconds
        return value

    def accepts(self, token: str) -> bool:
        """Whether a token is known and not expired."""
        return self.tokens.get(token, 0.0) > time.time()

    def snapshot(self) -> JsonObject:
        """The world as JSON."""
        return {
            "tenant_id": self.tenant_id,
            "app_id": self.app_id,
            "settings": asdict(self.settings),
            "people": [asdict(one) for one in self.people],
            "events": [_shown(one) for one in self.events.values()],
        }

    def change(self, wish: JsonObject) -> None:
        """Applies one `PATCH /_sandbox/state`; raises `StateError` at the first part that cannot be.

        The wish may have: `settings` (fields to set); `people` (id or address to fields); `delete_events` (ids) and
        `move_events` (ids to calendars), as a person does it; `expire_tokens` (true).
        """
        for name, part in wish.items():
            if name == "settings":
                update(self.settings, part)
            elif name == "people":
                for wanted, fields in part.items():
                    update(self._known(wanted), fields)
            elif name == "delete_events":
                for id in part:
                    self.remove(self._event(id), by_person=True)
            elif name == "move_events":
                for id, calendar in part.items():
                    self.move(self._event(id), calendar)
            elif (name, part) == ("expire_tokens", True):
                self.tokens.clear()
            else:
                raise StateError(f"the state has no part {name!r}, or it cannot be {part!r}")

    def _known(self, name: str) -> Person:
        person = self.person(name)
        if person is None:
            raise StateError(f"there is no person {name!r}")
        return person

    def _event(self, id: str) -> Stored:
        if id not in self.events:
            raise StateError(f"there is no event {id!r}")
        return self.events[id]


def _new_id() -> str:
    return f"AAMk{secrets.token_urlsafe(24)}="


def _shown(stored: Stored) -> dict[str, Any]:
    shown = {**asdict(stored), "starts": [one.isoformat() for one in occurrences(stored.content, stored.cut)]}
    shown.pop("posted")
    return shown
