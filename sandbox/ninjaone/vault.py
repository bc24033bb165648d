"""Credentials of the simulated instance, kept apart from its world so that no state listing can show them."""

import os
import secrets
from collections.abc import Iterable

from sandbox.control import JsonObject
from sandbox.ninjaone.models import ApiApp

SECRET_VARIABLE = "SANDBOX_NINJAONE_CLIENT_SECRET"  # noqa: S105 # the name of a variable
"""Environment variable with the secret of the app named `demo`."""


class Vault:
    """Secrets and first refresh tokens by client id. They survive a reset, so a client set up once stays valid.

    Args:
        given: `{"secrets": {client id: value}, "refresh_tokens": {client id: value}}`; what is missing is random.
    """

    def __init__(self, given: dict[str, dict[str, str]] | None = None) -> None:
        given = given or {}
        self.secrets = dict(given.get("secrets", {}))
        self.refresh_tokens = dict(given.get("refresh_tokens", {}))

    def provide(self, apps: Iterable[ApiApp]) -> None:
        """Makes the values that are missing."""
        for app in apps:
            demo = os.environ.get(SECRET_VARIABLE) if app.name == "demo" else None
            self.secrets.setdefault(app.client_id, demo or secrets.token_urlsafe(32))
            if "refresh_token" in app.grants:
                self.refresh_tokens.setdefault(app.client_id, f"rt-{secrets.token_urlsafe(24)}")

    def describe(self, apps: Iterable[ApiApp]) -> JsonObject:
        """Everything in plain text; only for the control plane's credentials route."""
        rows = [
            {
                "client_id": app.client_id,
                "name": app.name,
                "client_secret": self.secrets[app.client_id],
                "refresh_token": self.refresh_tokens.get(app.client_id),
            }
            for app in apps
        ]
        first: JsonObject = next((row for row in rows if row["name"] == "demo"), rows[0]) if rows else {}
        return {**first, "apps": rows}
