"""A server process in which Huntress's minute lasts MINUTE seconds, so that a test sees several of them pass."""

import os

from server.core.registry import Registry
from server.modules.huntress import register
from server.sdk import Registrar
from tests.support.serve import serve


def with_short_minute(registrar: Registrar) -> None:
    """Registers Huntress; only the length of its budget's window differs from the contract."""
    assert isinstance(registrar, Registry)
    register(registrar)
    for action in registrar.actions:
        object.__setattr__(action.definition.budget, "window", float(os.environ["MINUTE"]))


if __name__ == "__main__":
    serve(with_short_minute)
