"""Credentials of the simulated account, kept apart from its world so that no state listing can show them."""

import os
import secrets
from collections.abc import Iterable

from sandbox.control import JsonObject

KEY_VARIABLE = "SANDBOX_LEVELIO_API_KEY"
"""Environment variable with the value of the key that may write."""


class Vault:
    """One key that may write, one that may read only, and the tokens of webhook triggers. They survive a reset.

    Args:
        given: `{"api_key": value, "read_only_key": value, "tokens": {trigger id: token}}`; whatever is missing is made
            at random.
    """

    def __init__(self, given: JsonObject | None = None) -> None:
        given = given or {}
        self.api_key: str = given.get("api_key") or os.environ.get(KEY_VARIABLE) or secrets.token_urlsafe(24)
        self.read_only_key: str = given.get("read_only_key") or secrets.token_urlsafe(24)
        self.tokens: dict[str, str] = dict(given.get("tokens", {}))

    def provide(self, triggers: Iterable[str]) -> None:
        """Make the tokens that are missing."""
        for trigger in triggers:
            self.tokens.setdefault(trigger, secrets.token_urlsafe(15))

    def trigger_of(self, token: str) -> str | None:
        """Id of the trigger with this token."""
        return next((trigger for trigger, known in self.tokens.items() if known == token), None)

    def describe(self) -> JsonObject:
        """Everything in plain text; only for the control plane's credentials route."""
        return {"api_key": self.api_key, "read_only_key": self.read_only_key, "tokens": dict(self.tokens)}
