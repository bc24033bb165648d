"""Credentials of the simulated server, kept apart from its world so that no state listing can show them."""

import os
import secrets
import string
from collections.abc import Iterable

import pyotp

from sandbox.control import JsonObject
from sandbox.tacticalrmm.models import ApiKey, User

KEY_VARIABLE = "SANDBOX_TACTICAL_API_KEY"
"""Environment variable with the value of the key named `demo`."""

_ALPHABET = string.ascii_uppercase + string.digits


def new_api_key() -> str:
    """32 upper-case characters, as the real server makes them."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(32))


class Vault:
    """Values by name. They survive a reset, so that a client set up once stays valid.

    Args:
        given: `{"keys": {name: value}, "passwords": {user: password}, "totp": {user: base32}}`; whatever is missing is
            made at random.
    """

    def __init__(self, given: dict[str, dict[str, str]] | None = None) -> None:
        given = given or {}
        self.keys = dict(given.get("keys", {}))
        self.passwords = dict(given.get("passwords", {}))
        self.totp = dict(given.get("totp", {}))
        demo = os.environ.get(KEY_VARIABLE)
        if demo:
            self.keys.setdefault("demo", demo)
        self._names_by_value: dict[str, str] = {}

    def provide(self, users: Iterable[User], keys: Iterable[ApiKey]) -> None:
        """Make the values that are missing."""
        for key in keys:
            self.keys.setdefault(key.name, new_api_key())
        for user in users:
            self.passwords.setdefault(user.name, secrets.token_urlsafe(12))
            self.totp.setdefault(user.name, pyotp.random_base32())
        self._names_by_value = {value: name for name, value in self.keys.items()}

    def key_named(self, value: str) -> str | None:
        """Name of the key with this value."""
        return self._names_by_value.get(value)

    def describe(self, users: Iterable[User], keys: Iterable[ApiKey]) -> JsonObject:
        """Everything in plain text; only for the control plane's credentials route."""
        accounts = [
            {
                "username": u.name,
                "password": self.passwords[u.name],
                "totp_secret": self.totp[u.name] if u.totp else None,
            }
            for u in users
        ]
        values = {key.name: self.keys[key.name] for key in keys}
        return {
            "api_key": values.get("demo", next(iter(values.values()), None)),
            "api_keys": values,
            "users": accounts,
        }
