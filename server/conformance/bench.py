"""What the author of a module says; everything else stands in the contract."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.control import Sandbox
from server.composition import Register, all_modules
from server.core.registry import RegisteredModule, Registry

Json = dict[str, Any]


def no_more_secrets(_credentials: Json, _state: Json) -> Iterable[str]:
    """The connection holds all secrets."""
    return ()


@dataclass(frozen=True, kw_only=True)
class Bench:
    """One module and a simulated vendor for it.

    Attributes:
        provider: The module's provider.
        vendor: Makes the vendor. Each call makes another world; after a reset the first example of every action
            works in it, at once.
        settings: Returns the settings of a connection from the vendor's address and its credentials. Called for every
            tenant; the connection must permit every action.
        secrets: Returns further secrets that the vendor holds, from its credentials and its state.
        register: Registers the module: a function that can be imported by its name, because the server that calls it
            is a process of its own.
    """

    provider: str
    vendor: Callable[[], Sandbox]
    settings: Callable[[str, Json], Json]
    secrets: Callable[[Json, Json], Iterable[str]] = no_more_secrets
    register: Register = all_modules

    @property
    def module(self) -> RegisteredModule:
        """The module with its contract read.

        Raises:
            LookupError: Nothing registers this provider with a connection.
        """
        registry = Registry()
        self.register(registry)
        found = registry.provider(self.provider)
        if found is None:
            raise LookupError(f"no module with a connection to `{self.provider}` is registered")
        return found


Rows = Callable[..., Sequence[Any]]
"""`rows(statement, *arguments)`: runs a statement as the owner of the database, for all tenants."""


@dataclass(frozen=True, kw_only=True)
class LocalBench:
    """One module whose whole effect is in our database: it has no vendor, and its handlers are `transactional`.

    Attributes:
        provider: The module's group key.
        prepare: Gives a new tenant what the first example of every action needs.
        effects: Counts what all actions have changed so far, for all tenants.
        register: As that of a Bench.
    """

    provider: str
    prepare: Callable[[str, Rows], None]
    effects: Callable[[Rows], int]
    register: Register = all_modules

    @property
    def module(self) -> RegisteredModule:
        """The module with its contract read.

        Raises:
            KeyError: Nothing registers this group.
        """
        registry = Registry()
        self.register(registry)
        return registry.modules[self.provider]


def name_of(register: Register) -> str:
    """Returns how another process finds a function: `package.module:name`.

    Raises:
        ValueError: The function is made inside another one.
    """
    name = f"{register.__module__}:{register.__qualname__}"
    if "<" in name:
        raise ValueError(f"`register` must be a function of a module, not {name}")
    return name
