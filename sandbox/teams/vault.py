"""Secrets and keys, kept apart from the world so that no state listing can show them. They survive a reset."""

import os
import secrets
from collections.abc import Iterable

from sandbox.control import JsonObject
from sandbox.teams.keys import Key, KeyRing
from sandbox.teams.models import Bot

SECRET_VARIABLE = "SANDBOX_TEAMS_CLIENT_SECRET"  # noqa: S105 # the name of a variable
"""Environment variable with the secret of the first bot of the seed."""


class Vault:
    """Client secrets by application id, and the keys that sign.

    Args:
        given: `{"secrets": {application id: value}}`; what is missing is random.

    Attributes:
        login: Signs access tokens.
        ring: Signs what bots receive.
    """

    def __init__(self, given: JsonObject | None = None) -> None:
        self.secrets: dict[str, str] = dict((given or {}).get("secrets", {}))
        self.login, self.ring = Key("login-1"), KeyRing()

    def provide(self, bots: Iterable[Bot]) -> None:
        """Makes the secrets that are missing."""
        for bot in bots:
            fixed = None if self.secrets else os.environ.get(SECRET_VARIABLE)
            self.secrets.setdefault(bot.app_id, fixed or secrets.token_urlsafe(30))

    def describe(self, bots: Iterable[Bot]) -> JsonObject:
        """Everything in plain text; only for the control plane's credentials route."""
        rows = [
            {
                "app_id": bot.app_id,
                "kind": bot.kind,
                "tenant_id": bot.directory,
                "client_secret": self.secrets[bot.app_id],
            }
            for bot in bots
        ]
        first: JsonObject = rows[0] if rows else {}
        return {**first, "bots": rows}
